"""Binary layers in training, and parameters that are rounded after every update."""

from __future__ import annotations

import numpy as np
import pytest

from bench import reference
from facegen import train
from facegen.nn import (
    Affine,
    BatchNorm,
    Conv2d,
    Graph,
    Linear,
    ReLU,
    Reshape,
    Shape,
    Sign,
    Softmax,
)
from facegen.numbers.rounding import FixedPoint, Float16

RATE = 0.25


def binary() -> Graph:
    g = Graph("binary")
    x = g.add("conv1", Conv2d(2, 6, 3, bias=False), g.input("x", Shape(5, 5, 2)))
    x = g.add("sign1", Sign(), g.add("norm1", BatchNorm(6), x))
    x = g.add("conv2", Conv2d(6, 8, 3, bias=False, binary=True), x)
    x = g.add("norm2", BatchNorm(8), x)
    x = g.add("score", Linear(8, 3, binary=True), x)
    g.output(g.add("softmax", Softmax(), x))
    return g


def perceptron() -> Graph:
    g = Graph("perceptron")
    x = g.add("flat", Reshape(Shape(1, 1, 18)), g.input("x", Shape(3, 3, 2)))
    x = g.add("relu", ReLU(), g.add("hidden", Linear(18, 16), x))
    g.output(g.add("softmax", Softmax(), g.add("score", Linear(16, 3), x)))
    return g


def batch(graph: Graph, n: int = 12) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    x = random.standard_normal((n, *graph.inputs[0].shape)).astype(np.float32)
    return x, np.arange(n) % 3


def signs(w: np.ndarray) -> np.ndarray:
    return np.where(w < 0, np.float32(-1), np.float32(1))


def trainer_of(graph: Graph, **options) -> train.Trainer:
    return train.Trainer(graph, "cross_entropy", train.SGD(rate=RATE), seed=1, **options)


def test_binary_weights_change_by_the_gradient_of_their_signs():
    """As a step of a trainer of plain layers whose weights are the signs, but for the clipping."""
    graph, plain = binary(), Graph("plain")
    for node in graph.nodes:
        if node.layer is None:
            plain.input(node.name, node.shape)
            continue
        layer = node.layer
        if node.name == "conv2":
            layer = Conv2d(6, 8, 3, bias=False)
        elif node.name == "score":
            layer = Linear(8, 3)
        shapes = {each.name: each for each in plain.nodes}
        plain.add(node.name, layer, *(_tensor(plain, name, shapes) for name in node.inputs))
    plain.output(_tensor(plain, "softmax", {each.name: each for each in plain.nodes}))
    x, y = batch(graph)
    trainer = trainer_of(graph)
    before = {name: array.copy() for name, array in trainer.weights.items()}
    before["conv2.weight"] *= np.float32(4)  # so that some are clipped
    for name, array in trainer.weights.items():
        array[...] = before[name]
    names = ["conv2.weight", "score.weight"]
    seen = before | {name: signs(before[name]) for name in names}
    other = trainer_of(plain, weights={name: array.copy() for name, array in seen.items()})
    losses = trainer.step(x, y)
    np.testing.assert_array_equal(losses, other.step(x, y))
    for name, array in trainer.weights.items():
        if name not in names:
            np.testing.assert_array_equal(array, other.weights[name])
            continue
        # w - rate dw is rounded once for the real weight and once for its sign: a unit of each.
        want = np.clip(before[name] + (other.weights[name] - seen[name]), -1, 1)
        np.testing.assert_allclose(array, want, atol=2**-22)
        assert np.abs(array).max() <= 1
    assert (np.abs(before["conv2.weight"]) > 1).any()


def _tensor(graph: Graph, name: str, nodes):
    from facegen.nn import Tensor

    return Tensor(name, nodes[name].shape)


def test_predictions_and_gradients_see_signs_and_leave_the_weights():
    graph = binary()
    x, y = batch(graph)
    trainer = trainer_of(graph, stored_statistics=["norm1", "norm2"])
    before = {name: array.copy() for name, array in trainer.weights.items()}
    losses, _ = trainer.gradients(x, y)
    scores = next(iter(trainer.predict(x).values())).reshape(-1, 3)
    (want,) = reference.run_graph(graph, before, x)
    np.testing.assert_allclose(reference.softmax(scores), want.reshape(-1, 3), atol=1e-5)
    np.testing.assert_allclose(losses, -np.log(want.reshape(-1, 3)[np.arange(12), y]), atol=1e-5)
    for name, array in trainer.weights.items():
        np.testing.assert_array_equal(array, before[name])


def test_a_binary_network_learns():
    graph = binary()
    x, y = batch(graph)
    trainer = train.Trainer(graph, "cross_entropy", train.Adam(rate=0.02), seed=1)
    losses = [trainer.step(x, y).mean() for _ in range(30)]
    assert min(losses[20:]) < 0.5 * losses[0]


FORMATS = [FixedPoint(4, 6), FixedPoint(4, 6, stochastic=True), Float16()]


@pytest.mark.parametrize("rounding", FORMATS, ids=str)
def test_parameters_are_what_the_format_holds(rounding):
    graph = perceptron()
    x, y = batch(graph)
    trainer, plain = trainer_of(graph, rounding=rounding), trainer_of(graph)
    for name, array in trainer.weights.items():  # what is given stays until it changes
        np.testing.assert_array_equal(plain.weights[name], array)
    assert any((rounding(array) != array).any() for array in trainer.weights.values())
    for _ in range(3):
        trainer.step(x, y)
        for array in trainer.weights.values():
            np.testing.assert_array_equal(rounding(array), array)


def test_small_updates_are_lost_to_the_nearest_and_not_at_random():
    """A rate so small that no update is half an eps; its sum over the steps is a few."""
    graph = perceptron()
    x, y = batch(graph)
    found = {}
    for stochastic in (False, True):
        trainer = train.Trainer(
            graph,
            "cross_entropy",
            train.SGD(rate=0.03),
            seed=1,
            rounding=FixedPoint(4, 4, stochastic=stochastic),
        )
        trainer.step(x, y)  # after which they are rounded
        before = {name: array.copy() for name, array in trainer.weights.items()}
        losses = [trainer.step(x, y).mean() for _ in range(80)]
        changed = any((array != before[n]).any() for n, array in trainer.weights.items())
        found[stochastic] = changed, losses[-1] / losses[0]
    assert found[False] == (False, 1.0)
    assert found[True][0] and found[True][1] < 0.8


def test_a_run_repeats_and_goes_on():
    """On any number of threads; from a state, the bits are those of a run that was not stopped."""
    graph = perceptron()
    x, y = batch(graph)
    rounding = FixedPoint(4, 8, stochastic=True)
    first, second = (trainer_of(graph, rounding=rounding, threads=n) for n in (1, 2))
    for trainer in (first, second):
        for _ in range(3):
            trainer.step(x, y)
    state = first.state_dict()
    third = trainer_of(graph, rounding=rounding)
    third.load_state_dict(state)
    for trainer in (first, second, third):
        trainer.step(x, y)
    for name, array in first.weights.items():
        np.testing.assert_array_equal(second.weights[name], array)
        np.testing.assert_array_equal(third.weights[name], array)


def test_a_data_set_that_is_held_gives_the_same():
    graph = binary()
    x, y = batch(graph)
    one, other = trainer_of(graph), trainer_of(graph)
    rows = np.array([[0, 1, 2, 3], [4, 5, 6, 7]])
    losses = one.run(one.hold(x, y), rows)
    np.testing.assert_array_equal(losses, [other.step(x[r], y[r]) for r in rows])
    for name, array in one.weights.items():
        np.testing.assert_array_equal(other.weights[name], array)


@pytest.mark.cuda
def test_gpus_have_neither():
    with pytest.raises(ValueError, match="train on one CPU, not on cuda"):
        trainer_of(binary(), device="cuda")


def test_gradients_pass_a_sign_where_its_input_is_at_most_1():
    """The straight-through estimator: what comes back is as if nothing were there, or 0."""
    x = np.float32([-1.5, -1, -0.2, 0, 0.7, 1, 1.5, -9]).reshape(2, 1, 1, 4)
    y = np.linspace(-0.9, 0.8, 8, dtype=np.float32).reshape(2, 1, 1, 4)
    found = []
    for layer, given in ((Sign(), x), (Affine(1.0), signs(x))):
        graph = Graph("one layer")
        graph.output(graph.add("layer", layer, graph.input("x", Shape(1, 1, 4))))
        trainer = train.Trainer(graph, "l2", train.SGD(rate=RATE), inputs=["x"])
        found.append(trainer.gradients(given, y)[1]["x"])
    np.testing.assert_array_equal(found[0], np.where(np.abs(x) <= 1, found[1], 0))
    assert found[1].all()
