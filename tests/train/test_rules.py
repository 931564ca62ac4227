"""Every rule: its steps in float64 against finite differences, and the engine against its steps."""

from __future__ import annotations

import numpy as np
import pytest
from training_cases import CASES, Case
from training_engines import ENGINES, GPUS, STRICT, make, unit
from training_interpreter import Interpreter

from facegen import train
from facegen._native import CHUNK_IMAGES
from facegen.nn.grad import SGD, Adam, AdamW, Group, differentiate
from facegen.nn.grad.steps import BatchNorm

PLAIN = SGD(rate=0.1)


def weights_of(case: Case) -> dict[str, np.ndarray]:
    random = np.random.default_rng(1)
    return {
        name: (
            random.uniform(0.5, 1.5, shape)
            if name.endswith(("gamma", "var"))
            else random.uniform(-0.5, 0.5, shape)
        ).astype(np.float32)
        for name, shape in case.graph.parameters.items()
    }


# Where one side of the loss gets no gradient, it is not that of the loss.
ONE_SIDED = "relativistic pairs, generator"


@pytest.mark.parametrize("name", [name for name in CASES if name != ONE_SIDED])
def test_steps_against_differences(name: str) -> None:
    """Along random directions in the parameters, the loss changes as the gradients say."""
    case = CASES[name]()
    program = differentiate(case.graph, case.loss, SGD(rate=0.1), **case.options)
    weights = weights_of(case)
    interpreter = Interpreter(program, weights)
    interpreter.step(case.x, case.y)
    gradients = interpreter.gradients
    assert set(gradients) == set(program.trained)
    assert set(interpreter.input_gradients) == set(program.input_gradients)
    inputs = dict(zip(program.inputs, case.x, strict=True))
    random = np.random.default_rng(2)
    for name, gradient in {**gradients, **interpreter.input_gradients}.items():
        direction = random.standard_normal(gradient.shape)
        losses = []
        step = 1e-6
        for sign in (1, -1):
            moved = {
                key: np.float64(array) + (sign * step * direction if key == name else 0.0)
                for key, array in {**weights, **inputs}.items()
            }
            x = [moved.pop(key) for key in inputs]
            losses.append(Interpreter(program, moved).loss(x, case.y))
        found = (losses[0] - losses[1]) / (2 * step)
        expected = float((gradient * direction).sum())
        size = np.sqrt((gradient**2).sum())
        assert abs(found - expected) <= 1e-6 * max(1.0, size), name


def test_one_side_of_a_pair() -> None:
    """Real images get no gradient, and generated ones that of their difference."""
    case = CASES[ONE_SIDED]()
    program = differentiate(case.graph, case.loss, PLAIN, **case.options)
    interpreter = Interpreter(program, weights_of(case))
    interpreter.step(case.x, case.y)
    gradient = interpreter.input_gradients["x"]
    assert not gradient[::2].any() and gradient[1::2].any()
    direction = np.zeros(case.x[0].shape)
    direction[1::2] = np.random.default_rng(2).standard_normal(direction[1::2].shape)
    step = 1e-6
    losses = [interpreter.loss([case.x[0] + sign * step * direction], []) for sign in (1, -1)]
    found, expected = (losses[0] - losses[1]) / (2 * step), float((gradient * direction).sum())
    assert abs(found - expected) <= 1e-6


def engine(case: Case, weights: dict, name: str | None, optimizer=PLAIN) -> tuple:
    program = differentiate(case.graph, case.loss, optimizer, **case.options)
    state = {name: np.zeros(shape, np.float32) for name, shape in program.state.items()}
    arrays = {**{name: array.copy() for name, array in weights.items()}, **state}
    return program, arrays, make(program, arrays, name)


@pytest.mark.parametrize("name", CASES)
def test_parts_of_a_batch_give_the_same_bits(name: str) -> None:
    case = CASES[name]()
    random = np.random.default_rng(1)
    images = 44  # 6 chunks of 8, the last smaller; whole groups of all losses
    chosen = random.integers(0, len(case.x[0]), images)
    scale = (1 + random.random((images, 1, 1, 1))).astype(np.float32)  # no two alike
    x, y = [array[chosen] * scale for array in case.x], [array[chosen] for array in case.y]
    program, _, native = engine(case, weights_of(case), None)

    def step(part: int | None) -> tuple[float, np.ndarray, dict[str, np.ndarray]]:
        losses = np.empty((len(program.losses), images))
        length = native.step(x, y, losses, [0.1], 5, 2, False, 2, part)
        return length, losses, {name: native.gradient(name) for name in program.trained}

    whole = step(None)
    own_statistics = any(isinstance(s, BatchNorm) and not s.stored for s in program.forward)
    for part in () if own_statistics else (8, 16, 32, 64):
        length, losses, gradients = step(part)
        assert length == whole[0]
        np.testing.assert_array_equal(losses, whole[1])
        for parameter, gradient in gradients.items():
            np.testing.assert_array_equal(gradient, whole[2][parameter], err_msg=parameter)
    for part in (0, 4, 12, 24, -8):
        with pytest.raises(ValueError, match="8 times a power of 2"):
            step(part)


@pytest.mark.parametrize("which", ENGINES)
@pytest.mark.parametrize("name", CASES)
def test_engine_against_steps(name: str, which: str) -> None:
    case = CASES[name]()
    weights = weights_of(case)
    program, arrays, native = engine(case, weights, which)
    interpreter = Interpreter(program, arrays)
    expected = interpreter.step(case.x, case.y, seed=5, number=2)
    # Each number goes through some layers, each a sum: errors of about the root of its length.
    eps = unit(which)
    results = {}
    for threads in (1, 2, 3):
        losses = np.empty((len(program.losses), len(case.x[0])))
        native.step(case.x, case.y, losses, [0.1], 5, 2, False, threads)
        ends = zip(program.losses, losses, strict=True)
        weighed = sum(end.loss.weight * part for end, part in ends)
        np.testing.assert_allclose(weighed, expected, rtol=100 * eps, atol=100 * eps)
        wanted = {**interpreter.gradients, **interpreter.input_gradients}
        most = max(np.abs(gradient).max() for gradient in wanted.values())
        for parameter, gradient in wanted.items():
            if parameter in program.input_gradients:
                found = native.kept(program.input_gradients.index(parameter))
            else:
                found = native.gradient(parameter)
            # Sums of what cancels, as of a bias before a norm, have the errors of their terms.
            largest = max(np.abs(gradient).max(), 0.01 * most, 1e-3)
            np.testing.assert_allclose(
                found, gradient, atol=200 * eps * largest, err_msg=parameter
            )
            # The same bits for any number of threads, and for a step that is a graph's launch.
            assert results.setdefault(parameter, found.tobytes()) == found.tobytes()
        assert results.setdefault("losses", losses.tobytes()) == losses.tobytes()
    for parameter, array in weights.items():
        np.testing.assert_array_equal(arrays[parameter], array)


OPTIMIZERS = {
    "sgd": SGD(rate=0.1),
    "momentum": SGD(rate=0.1, momentum=0.9, weight_decay=0.01),
    "nesterov": SGD(rate=0.1, momentum=0.9, nesterov=True, average=0.9),
    "adam": Adam(rate=0.01, weight_decay=0.1, average=0.5),
    "adamw": AdamW(rate=0.01, weight_decay=0.3),
    "schedules": AdamW(rate=lambda step: 0.01 / (1 + step), average=lambda step: 0.3 * step),
    "clipped": SGD(rate=1.0, clip_norm=0.1),
    "groups": SGD(
        rate=0.1, groups=[Group("*.bias", 2.0, 0.5), Group("Conv2d4.*", 0.0)], average=0.7
    ),
}


@pytest.mark.parametrize("which", STRICT)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizers(name: str, which: str) -> None:
    optimizer = OPTIMIZERS[name]
    case = CASES["three layers"]()
    weights = weights_of(case)
    program, arrays, native = engine(case, weights, which, optimizer)
    for parameter in weights:
        if f"{parameter}:average" in arrays:
            arrays[f"{parameter}:average"][...] = weights[parameter]
    interpreter = Interpreter(program, arrays)
    for number in range(3):
        losses = np.empty((1, len(case.x[0])))
        rates = optimizer.rates(number)
        native.step(case.x, case.y, losses, rates, 0, number, True, 2)
        interpreter.step(case.x, case.y, rates, number)
        for array, expected in interpreter.arrays.items():
            # Adam divides small gradients by their own size: their errors are as large as they are.
            atol = 2e-3 if which in GPUS else 2e-5
            np.testing.assert_allclose(arrays[array], expected, rtol=2e-3, atol=atol, err_msg=array)
    for parameter, array in weights.items():
        still = name == "groups" and parameter.startswith("Conv2d4.w")
        assert np.array_equal(arrays[parameter], array) == still, parameter


def test_frozen_layers_cost_nothing() -> None:
    case = CASES["frozen front"]()
    program = differentiate(case.graph, case.loss, SGD(rate=0.1), **case.options)
    names = [step.name for step in program.backward]
    assert not [name for name in names if name.startswith(("Conv2d0", "ReLU1"))]
    assert set(program.trained) == {
        f"Conv2d{i}.{part}" for i in (2, 4) for part in ("weight", "bias")
    } - {"Conv2d2.bias"}


def test_sums_of_parts_are_nodes_of_the_tree() -> None:
    """Gradients of halves of a batch, added, are the whole's to the bit."""
    case = CASES["linear"]()
    images = 4 * CHUNK_IMAGES
    random = np.random.default_rng(3)
    x = random.standard_normal((images, 1, 1, 40)).astype(np.float32)
    y = random.standard_normal((images, 1, 1, 7)).astype(np.float32)
    weights = weights_of(case)
    trainer = train.Trainer(case.graph, "l2", SGD(rate=0.1), weights=weights)
    _, whole = trainer.gradients(x, y)
    halves = [
        trainer.gradients(x[part], y[part])[1]
        for part in (slice(0, images // 2), slice(images // 2, images))
    ]
    for name in ("Linear0.weight", "Linear1.weight"):
        np.testing.assert_array_equal((halves[0][name] + halves[1][name]) / 2, whole[name])
