"""Trainers: what they change, what they keep, how they go on, what they refuse."""

from __future__ import annotations

import doctest
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from threading import Barrier
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

import facegen
from facegen import nn, train
from facegen.engine import Runner
from facegen.errors import FacegenError, FormatError
from facegen.networks import lenet
from facegen.nn import Shape
from facegen.train import schedules
from facegen.train import trainer as trainer_module
from facegen.train.batch import Arrays
from facegen.train.step_engine import Steps

RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.random((12, 28, 28, 1), np.float32)
LABELS = RANDOM.integers(0, 10, 12)


def lenet_trainer(**options) -> train.Trainer:
    choices = {
        "loss": "cross_entropy",
        "optimizer": train.Adam(rate=1e-3, average=0.9),
        "dropout": {"relu3": 0.4},
        "threads": 2,
        "seed": 7,
        **options,
    }
    return train.Trainer(lenet.graph(), **choices)


def test_examples() -> None:
    for module in (schedules, trainer_module):
        assert doctest.testmod(module).failed == 0 and doctest.testmod(module).attempted > 0


def test_it_learns_by_heart() -> None:
    trainer = lenet_trainer()
    losses = [trainer.step(IMAGES, LABELS).mean() for _ in range(60)]
    assert losses[-1] < 0.05 < 1 < losses[0]
    guesses = facegen.DigitClassifier(trainer.weights, device="cpu")(IMAGES).digits
    assert (guesses == LABELS).all()
    assert not np.array_equal(trainer.averages["score.bias"], trainer.weights["score.bias"])


@pytest.mark.parametrize(
    "options",
    [{"rate": lambda step: float("nan")}, {"rate": lambda step: -1.0}, {"rate": lambda step: None},
     {"rate": 0.1, "groups": (train.Group("*", rate=float("nan")),)},
     {"rate": 0.1, "average": lambda step: 1.0}, {"rate": 0.1, "average": lambda step: "0.9"}],
    ids=["nan", "negative", "none", "group", "average", "word"],
)  # fmt: skip
def test_rates_that_no_weight_would_outlive_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="rate|average of step 0"):
        trainer = lenet_trainer(optimizer=train.SGD(**options))
        before = trainer.weights["score.bias"].copy()
        trainer.step(IMAGES, LABELS)
    if "groups" not in options:
        np.testing.assert_array_equal(trainer.weights["score.bias"], before)


def test_the_weights_given_are_changed_and_shared() -> None:
    weights = lenet.initial_weights(1)
    before = {name: array.copy() for name, array in weights.items()}
    one = lenet_trainer(weights=weights, frozen=["conv1"])
    other = lenet_trainer(weights=weights, optimizer=train.SGD(rate=0.1))
    one.step(IMAGES, LABELS)
    assert np.array_equal(weights["conv1.weight"], before["conv1.weight"])
    assert not np.array_equal(weights["conv2.weight"], before["conv2.weight"])
    changed = weights["conv2.weight"].copy()
    other.step(IMAGES, LABELS)
    assert not np.array_equal(weights["conv2.weight"], changed)


def test_steps_in_parts() -> None:
    images, labels = np.tile(IMAGES, (3, 1, 1, 1)), np.tile(LABELS, 3)  # 5 chunks
    whole, parted = lenet_trainer(), lenet_trainer()
    assert parted.most_parts(36) == 5
    for parts in (2, 3, 5):  # 16, 16 and 4 images where 3 or 4 were asked for
        losses = whole.step(images, labels)
        np.testing.assert_array_equal(parted.step(images, labels, parts=parts), losses)
        assert parted.gradient_length == whole.gradient_length
    expected = whole.state_dict()
    for name, array in parted.state_dict().items():
        np.testing.assert_array_equal(array, expected[name], err_msg=name)
    many = np.tile(images, (4, 1, 1, 1)), np.tile(labels, 4)
    whole.step(*many)
    parted.step(*many, parts=18)
    assert parted.memory_bytes < whole.memory_bytes / 2
    for parts in (0, 6):
        with pytest.raises(ValueError, match="parts must be 1 to 5 for 36 images"):
            parted.step(images, labels, parts=parts)
    images[20, 3, 3] = np.inf
    with pytest.raises(FacegenError, match="not finite, in image 20"):
        parted.step(images, labels, parts=5)


def test_a_batch_norm_of_the_batch_has_no_parts() -> None:
    graph = nn.Graph("norm")
    graph.output(graph.add("norm", nn.BatchNorm(1), graph.input("x", Shape(2, 2, 1))))
    of_batch = train.Trainer(graph, "l2", train.SGD(rate=0.1))
    assert of_batch.most_parts(64) == 1
    with pytest.raises(ValueError, match="parts must be 1 to 1"):
        of_batch.step(np.zeros((64, 2, 2, 1)), 0.0, parts=2)
    stored = train.Trainer(graph, "l2", train.SGD(rate=0.1), stored_statistics=["norm"])
    assert stored.most_parts(64) == 8


@pytest.mark.parametrize(
    "numbers", [{"seed": 2**64}, {"seed": -1}, {"threads": 0}, {"threads": 2**70}], ids=str
)
def test_numbers_out_of_range_are_refused(numbers: dict[str, int]) -> None:
    (name,) = numbers
    with pytest.raises(ValueError, match=f"{name} must be from"):
        lenet_trainer(**numbers)


def test_numbers_that_are_not_whole_are_refused() -> None:
    for name in ("threads", "seed", "shares"):
        with pytest.raises(ValueError, match=f"{name} must be a whole number, not 1.5"):
            lenet_trainer(**{name: 1.5})
    trainer = lenet_trainer(threads=np.int64(1))
    with pytest.raises(ValueError, match="parts must be a whole number, not 1.5"):
        trainer.step(IMAGES, LABELS, parts=1.5)
    trainer.step(IMAGES, LABELS, parts=np.int64(2))


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_stopped_and_resumed_is_the_same_to_the_bit(tmp_path: Path, threads: int) -> None:
    whole = lenet_trainer()
    for i in range(6):
        whole.step(IMAGES[i:], LABELS[i:])

    first = lenet_trainer()
    for i in range(3):
        first.step(IMAGES[i:], LABELS[i:])
    first.save(tmp_path / "state.safetensors")
    second = lenet_trainer(threads=threads, weights=lenet.initial_weights(5))
    second.load(tmp_path / "state.safetensors")
    for i in range(3, 6):
        second.step(IMAGES[i:], LABELS[i:])

    expected = whole.state_dict()
    assert {":seed", ":steps", "conv1.weight", "conv1.weight:first"} <= expected.keys()
    for name, array in second.state_dict().items():
        assert array.tobytes() == expected[name].tobytes(), name


def test_a_state_that_does_not_fit(tmp_path: Path) -> None:
    trainer = lenet_trainer()
    state = trainer.state_dict()
    with pytest.raises(ValueError, match="lacks conv1.weight, of shape"):
        trainer.load_state_dict({k: v for k, v in state.items() if k != "conv1.weight"})
    with pytest.raises(ValueError, match="nothing named x"):
        trainer.load_state_dict({**state, "x": np.zeros(1)})
    with pytest.raises(ValueError, match=r"conv1.bias of the state must have shape \(32,\), not"):
        trainer.load_state_dict({**state, "conv1.bias": np.zeros(3, np.float32)})
    (tmp_path / "no.safetensors").write_bytes(b"nothing")
    with pytest.raises(FormatError, match="no.safetensors"):
        trainer.load(tmp_path / "no.safetensors")
    lenet_trainer(optimizer=train.SGD(rate=0.1)).save(tmp_path / "sgd.safetensors")
    with pytest.raises(FormatError, match="sgd.safetensors: the state of lenet lacks"):
        trainer.load(tmp_path / "sgd.safetensors")


def normed_trainer() -> train.Trainer:
    graph = nn.Graph("normed")
    x = graph.add("a", nn.Conv2d(1, 2, 1), graph.input("x", Shape(2, 2, 1)))
    graph.output(graph.add("norm", nn.BatchNorm(2), x))
    return train.Trainer(graph, "l2", train.Adam(rate=0.1))


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        ("norm.beta:second", np.zeros(2), "norm.beta:second of the state must be F32, not float64"),
        (":steps", np.array(-1), ":steps of the state must be U64, not int64"),
        (":steps", np.array(2**64 - 1, np.uint64), ":steps of the state must be at most 4,611,"),
        (":seed", np.array(0.5), ":seed of the state must be U64, not float64"),
        ("norm.beta", np.float32([0, np.nan]), "norm.beta of the state has a number that is not f"),
        ("norm.var", np.float32([-1, 2]), "norm.var of the state must be 0 or more, found -1.0"),
        ("norm.beta:second", np.float32([1, -2]), "norm.beta:second of .* 0 or more, found -2.0"),
        (":steps", None, "the state of normed lacks :steps"),
        ("x", np.float32(1), "normed, so trained, has nothing named x"),
    ],
)
def test_a_state_that_is_refused_changes_nothing(
    tmp_path: Path, name: str, array: np.ndarray | None, message: str
) -> None:
    trainer, other = normed_trainer(), normed_trainer()
    x = RANDOM.random((3, 2, 2, 1), np.float32)
    other.step(x, 0.0)
    state = {**other.state_dict(), name: array}
    state = {key: value for key, value in state.items() if value is not None}
    before = trainer.state_dict()
    with pytest.raises(ValueError, match=message):
        trainer.load_state_dict(state)
    file = tmp_path / "state.safetensors"
    safetensors.numpy.save_file(
        {key: np.asarray(value) for key, value in state.items()},
        file,
        {"format": "facegen.train 1"},
    )
    with pytest.raises(FormatError, match=f"^{file}: [^/]*{name}"):
        trainer.load(file)
    for key, value in trainer.state_dict().items():
        assert value.tobytes() == before[key].tobytes(), key
    trainer.load_state_dict(other.state_dict())
    assert trainer.steps == 1 and not np.array_equal(
        trainer.weights["a.weight"], before["a.weight"]
    )


@pytest.mark.parametrize("metadata", [None, {"format": "facegen.train 2"}, {"format": "pt"}])
def test_a_state_of_another_format(tmp_path: Path, metadata: dict[str, str] | None) -> None:
    trainer = normed_trainer()
    file = tmp_path / "state.safetensors"
    safetensors.numpy.save_file(trainer.state_dict(), file, metadata)
    found = "None" if metadata is None else metadata["format"]
    with pytest.raises(FormatError) as refused:
        trainer.load(file)
    named, expected = str(refused.value).split(": ", 1)
    assert named == str(file) and expected.startswith("expected format 'facegen.train 1', found")
    assert found in expected


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (
            IMAGES[:, :27],
            LABELS,
            r"image: expected shape \(n, 28, 28, 1\), found \(12, 27, 28, 1\)",
        ),
        (IMAGES[:0], LABELS[:0], "at least 1 image"),
        (IMAGES * 1j, LABELS, "image: expected real numbers, found complex"),
        (IMAGES, LABELS[:5], r"labels: expected shape \(12,\), found \(5,\)"),
        (IMAGES, LABELS * 1.0, "labels: expected integers, found float64"),
        (IMAGES, np.full(12, 10), r"labels: expected 0 to 9, .* found 10 at \[0\]"),
    ],
)
def test_batches_that_do_not_fit(x: np.ndarray, y: np.ndarray, message: str) -> None:
    trainer = lenet_trainer()
    with pytest.raises(ValueError, match=message):
        trainer.step(x, y)
    assert trainer.steps == 0


def test_numbers_that_are_not_finite_are_found_where_they_begin() -> None:
    trainer = lenet_trainer()
    trainer.step(IMAGES, LABELS)
    before = trainer.state_dict()
    spoiled = IMAGES.copy()
    spoiled[3, 4, 5] = np.nan
    with pytest.raises(FacegenError, match="step 1 of lenet: input 0 .* in image 3$"):
        trainer.step(spoiled, LABELS)
    for name, array in trainer.state_dict().items():
        assert np.array_equal(array, before[name]), name

    trainer.weights["conv2.weight"][...] = 1e38
    with pytest.raises(FacegenError, match=r"the result of conv2\+relu2 \(step 2\) for image 0"):
        trainer.step(IMAGES, LABELS)
    trainer.weights["conv2.weight"][0, 0, 0, 0] = np.inf
    with pytest.raises(FacegenError, match="conv2.weight has a number that is not finite"):
        trainer.step(IMAGES, LABELS)


def test_a_gradient_that_overflows_is_named() -> None:
    graph = nn.Graph("steep")
    x = graph.add("a", nn.Linear(1, 1), graph.input("x", Shape(1, 1, 1)))
    graph.output(graph.add("b", nn.Linear(1, 1), x))
    weights = {
        "a.weight": np.full((1, 1), 1e-30, np.float32),
        "a.bias": np.zeros(1, np.float32),
        "b.weight": np.full((1, 1), 1e25, np.float32),
        "b.bias": np.zeros(1, np.float32),
    }
    trainer = train.Trainer(graph, "l2", train.SGD(rate=0.1), weights=weights)
    with pytest.raises(FacegenError, match="step 0 of steep: the result of b dx .* is not finite"):
        trainer.step(np.full((1, 1, 1, 1), 1e5), np.full((1, 1, 1, 1), 1e17))


def test_what_cannot_be_trained_is_named() -> None:
    with pytest.raises(ValueError, match="unknown loss 'hinge'; expected one of: cross_entropy"):
        lenet_trainer(loss="hinge")
    with pytest.raises(ValueError, match="lenet has no layer named 'conv9'"):
        lenet_trainer(frozen=["conv9"])
    with pytest.raises(ValueError, match="all is frozen"):
        lenet_trainer(frozen=["conv1", "conv2", "hidden", "score"])
    graph = nn.Graph("odd")
    x = graph.add("a", nn.Linear(3, 3), graph.input("x", Shape(1, 1, 3)))
    graph.output(graph.add("best", nn.ArgMax(), x))
    with pytest.raises(ValueError, match=r"odd: no gradient of ArgMax\(\): layer 'best'"):
        train.Trainer(graph, "l2", train.SGD(rate=0.1))
    with pytest.raises(ValueError, match="rate must be 0 or more, not -1"):
        train.SGD(rate=-1)
    with pytest.raises(ValueError, match="nesterov takes a momentum"):
        train.SGD(rate=1, nesterov=True)


def test_schedules() -> None:
    assert [schedules.steps(1.0, 2)(i) for i in range(5)] == pytest.approx([1, 1, 0.1, 0.1, 0.01])
    rates = [schedules.one_cycle(1.0, 100)(i) for i in range(101)]
    assert rates[0] == pytest.approx(0.04) and rates[30] == pytest.approx(1.0)
    assert rates[100] == pytest.approx(0.04e-5) and max(rates) == rates[30]
    trainer = lenet_trainer(optimizer=train.SGD(rate=lambda step: 0.0 if step else 0.1))
    trainer.step(IMAGES, LABELS)
    still = trainer.state_dict()
    trainer.step(IMAGES, LABELS)
    assert np.array_equal(trainer.weights["conv1.weight"], still["conv1.weight"])


def test_two_threads_wait_for_each_other() -> None:
    """Batches of many sizes, of which a larger one moves the memory that the other computes in.

    Each thread gets the gradients of its own batch; and of steps, each has a number of its own.
    """
    sizes = range(1, 13)
    trainer = lenet_trainer(dropout=None)
    alone = [trainer.gradients(IMAGES[:n], LABELS[:n]) for n in sizes]
    for _ in range(10):
        trainer = lenet_trainer(dropout=None)
        start = Barrier(2)

        def gradients(first: int, trainer: train.Trainer = trainer, start: Barrier = start) -> list:
            start.wait()
            return [trainer.gradients(IMAGES[:n], LABELS[:n]) for n in sizes[first::2]]

        with ThreadPoolExecutor(2) as pool:
            found = list(pool.map(gradients, range(2)))
        for first in range(2):
            for one, expected in zip(found[first], alone[first::2], strict=True):
                np.testing.assert_equal(one, expected)

    numbers: list[int] = []
    rate = train.SGD(rate=lambda step: numbers.append(step) or 0.1)
    trainer = lenet_trainer(optimizer=rate)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda _: trainer.step(IMAGES, LABELS), range(20)))
    assert numbers == list(range(20)) and trainer.steps == 20


def test_two_threads_in_the_native_trainer() -> None:
    """The same without the trainer's lock: the native one has its own."""
    native = lenet_trainer(dropout=None)._engine
    labels = LABELS.astype(np.int32)

    def losses(n: int, native=native) -> np.ndarray:
        losses = np.empty((1, 1, n))
        data = Arrays([IMAGES[:n]], [labels[:n]])
        native.run(Steps(data, None, losses, np.zeros((1, 2)), 0, 0, False, n, False))
        return losses

    alone = [losses(n) for n in range(1, 13)]
    for _ in range(20):
        native = lenet_trainer(dropout=None)._engine
        with ThreadPoolExecutor(2) as pool:
            found = list(pool.map(partial(losses, native=native), range(1, 13)))
        for one, expected in zip(found, alone, strict=True):
            np.testing.assert_array_equal(one, expected)


def test_outputs_are_those_that_the_step_was_computed_with() -> None:
    graph = nn.Graph("two ends")
    x = graph.input("x", Shape(6, 5, 2))
    picture = graph.add("tanh", nn.Tanh(), graph.add("conv", nn.Conv2d(2, 3, 3, padding=1), x))
    graph.output(picture)
    graph.output(graph.add("score", nn.Conv2d(3, 1, 3), picture))
    losses = {"score": train.L2()}  # so the other is read by a layer alone
    trainer = train.Trainer(graph, losses, train.SGD(rate=0.1), outputs=["tanh"], seed=1)
    images = np.random.default_rng(0).standard_normal((5, 6, 5, 2)).astype(np.float32)
    weights = {name: array.copy() for name, array in trainer.weights.items()}
    for count in (5, 2):
        expected, _ = Runner(nn.lower(graph, weights), device="cpu")(images[:count])
        trainer.step(images[:count], np.zeros(count))
        # Sums of 18 numbers, and the hyperbolic tangent.
        np.testing.assert_allclose(trainer.output("tanh"), expected, rtol=0, atol=1e-6)
        weights = {name: array.copy() for name, array in trainer.weights.items()}
    with pytest.raises(ValueError, match="'score' is not among the outputs that were asked for"):
        trainer.output("score")
    with pytest.raises(ValueError, match="two ends has no output named 'conv', but: tanh, score"):
        train.Trainer(graph, losses, train.SGD(rate=0.1), outputs=["conv"])


def test_two_networks_play() -> None:
    """A generator learns through a frozen discriminator; both trainers share the weights."""
    generator = nn.Graph("generator")
    z = generator.input("z", Shape(1, 1, 2))
    y = generator.add("g1", nn.Linear(2, 16), z)
    y = generator.add("g1.map", nn.Reshape(Shape(2, 2, 4)), y)
    y = generator.add("g1.norm", nn.BatchNorm(4), y)
    y = generator.add("g1.relu", nn.ReLU(), y)
    y = generator.add("g2", nn.ConvTranspose2d(4, 1, 4, stride=2, padding=1), y)
    generator.output(generator.add("tanh", nn.Tanh(), y))
    judge = nn.Graph("judge")
    y = judge.add(
        "d1", nn.Conv2d(1, 8, 4, stride=2, padding=1), judge.input("image", Shape(4, 4, 1))
    )
    y = judge.add("d1.norm", nn.BatchNorm(8), y)
    y = judge.add("d1.leaky", nn.LeakyReLU(0.2), y)
    judge.output(judge.add("d2", nn.Conv2d(8, 1, 2), y))

    joined = train.join(generator, judge)
    weights = train.Trainer(joined, "l2", train.SGD(rate=0)).weights
    of_judge = {name: weights[name] for name in judge.parameters}
    adam = train.Adam(rate=2e-3, betas=(0.5, 0.999))
    learning = train.Trainer(
        joined, "binary_cross_entropy", adam, weights=weights, frozen=["d1", "d1.norm", "d2"]
    )
    judging = train.Trainer(judge, "binary_cross_entropy", adam, weights=of_judge)
    assert {name.split(".")[0] for name in learning.program.trained} == {"g1", "g2"}

    def copy(names) -> dict[str, np.ndarray]:
        return {name: weights[name].copy() for name in names}

    random = np.random.default_rng(0)
    start = copy(weights)
    for _ in range(30):
        z = random.standard_normal((16, 1, 1, 2))
        own = {name: weights[name] for name in generator.parameters}
        faces = Runner(nn.lower(generator, own), "cpu")(z.astype(np.float32))
        real = np.ones((16, 4, 4, 1), np.float32)
        images = np.concatenate([real, faces])
        judging.step(images, np.repeat([1.0, 0.0], 16))
        judged = copy(judge.parameters)
        learning.step(z, 1.0)
        for name, array in judged.items():  # mean and var of its batch norm, too
            assert np.array_equal(weights[name], array), name
    for name, array in start.items():
        assert not np.array_equal(weights[name], array), name

    losses = [learning.step(z, 1.0).mean() for _ in range(30)]  # against a judge that stands still
    assert losses[-1] < 0.9 * losses[0]


def test_predictions_are_those_of_the_next_step() -> None:
    g = nn.Graph("norm")
    x = g.add("conv", nn.Conv2d(3, 8, 3, padding=1), g.input("image", Shape(6, 6, 3)))
    x = g.add("relu", nn.ReLU(), g.add("norm", nn.BatchNorm(8), x))
    g.output(g.add("out", nn.Conv2d(8, 2, 3), x))
    trainer = train.Trainer(g, "l2", train.SGD(rate=0.1), dropout={"relu": 0.3}, threads=1)
    again = train.Trainer(g, "l2", train.SGD(rate=0.1), dropout={"relu": 0.3}, threads=1)
    images = np.random.default_rng(1).random((5, 6, 6, 3), np.float32)
    before = trainer.state_dict()
    for _ in range(2):
        predicted = trainer.predict(images)["out"]
        assert predicted.shape == (5, 4, 4, 2)
        for name, array in trainer.state_dict().items():
            np.testing.assert_array_equal(array, before[name], err_msg=name)
        losses = trainer.step(images, 0, predicted=True)
        np.testing.assert_array_equal(losses, again.step(images, 0))
        expected = np.square(predicted.astype(float)).mean(axis=(1, 2, 3))
        np.testing.assert_allclose(losses, expected, rtol=1e-12)
        before = trainer.state_dict()
    with pytest.raises(ValueError, match="at least 1 image"):
        trainer.predict(images[:0])
    with pytest.raises(ValueError, match="no forward pass of this batch"):
        trainer.step(images, 0, predicted=True)


def test_trainers_that_share_moments() -> None:
    """Steps by turns are those of one trainer."""
    g = nn.Graph("line")
    g.output(g.add("out", nn.Linear(4, 2), g.input("x", Shape(1, 1, 4))))
    adam = train.Adam(rate=0.1, average=0.9)
    one = train.Trainer(g, "l2", adam, seed=3)
    first = train.Trainer(g, "l2", adam, seed=3)
    second = train.Trainer(g, "l2", adam, moments_of=first)
    x = np.random.default_rng(1).random((5, 1, 1, 4), np.float32)
    for trainer in (first, second, second, first):
        np.testing.assert_array_equal(trainer.step(x, 1), one.step(x, 1))
    assert first.steps == second.steps == 4
    for name, array in one.state_dict().items():
        np.testing.assert_array_equal(array, first.state_dict()[name])
    with pytest.raises(ValueError, match="the same parameters and optimizer"):
        train.Trainer(g, "l2", train.SGD(rate=0.1), moments_of=first)


@pytest.mark.parametrize("precision", ["bfloat-16", "STRICT", ""])
def test_words_that_are_no_precision(precision: str) -> None:
    with pytest.raises(ValueError, match="precision must be one of float32, strict"):
        train.Trainer(lenet.graph(), "cross_entropy", train.SGD(rate=0.1), precision=precision)


def test_rates_that_float32_has_not() -> None:
    trainer = train.Trainer(lenet.graph(), "cross_entropy", train.SGD(rate=lambda step: 1e300))
    with pytest.raises(ValueError, match="a rate of step 0 must be a number of float32"):
        trainer.step(np.zeros((2, 28, 28, 1), np.float32), np.arange(2))
    assert trainer.steps == 0


def test_targets_by_name_and_one_for_all_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """How many images a batch has is told by them, whatever its targets are."""
    graph = nn.Graph("conv")
    x = graph.input("x", nn.Shape(4, 4, 1))
    graph.output(graph.add("conv", nn.Conv2d(1, 2, 3), x))
    images = np.ones((32, 4, 4, 1), np.float32)
    for targets in ({"conv": np.zeros((32, 2, 2, 2), np.float32)}, 1.0):
        trainer = train.Trainer(graph, "l2", train.SGD(rate=0.1), seed=1)
        real = trainer.step

        def step(*batch, parts: int, real=real) -> np.ndarray:
            if parts < 4:
                raise MemoryError
            return real(*batch, parts=parts)

        monkeypatch.setattr(trainer, "step", step)
        in_parts = train.StepInParts(trainer)
        assert in_parts(images, targets).shape == (32,)
        assert in_parts.parts == 4


@pytest.mark.parametrize("steps", [-1, 1.5, "a", None, 2**63, True * 2.0])
def test_steps_that_are_no_count(steps: Any) -> None:
    trainer = lenet_trainer()
    with pytest.raises(ValueError, match="steps must be a whole number from 0 to"):
        trainer.steps = steps
    assert trainer.steps == 0
    trainer.steps = np.int64(3)
    assert trainer.state_dict()[":steps"] == 3
