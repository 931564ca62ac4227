"""Data sets that a trainer holds, and many steps a call: to the bit what single steps do."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from training_engines import DEVICES

from facegen import nn, train
from facegen.engine.foreign import OnDevice
from facegen.networks import lenet
from facegen.nn import Graph, Shape
from facegen.train import batch
from facegen.train.cut import Features
from facegen.train.kept_steps import KeptSteps

RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.random((40, 28, 28, 1), np.float32)
LABELS = RANDOM.integers(0, 10, 40)


def lenet_trainer(device: str = "cpu", **options: Any) -> train.Trainer:
    choices: dict[str, Any] = {
        "loss": "cross_entropy",
        "optimizer": train.Adam(rate=train.warm_up(train.cosine(1e-3, 50), 5), average=0.9),
        "dropout": {"relu3": 0.4},
        "threads": 1,
        "seed": 7,
        **options,
    }
    return train.Trainer(lenet.graph(), device=device, **choices)


def two_ends() -> Graph:
    """Of two inputs and two outputs, whose images have odd numbers of values."""
    g = Graph("two ends")
    x, z = g.input("x", Shape(5, 5, 1)), g.input("z", Shape(1, 1, 3))
    y = g.add("relu", nn.ReLU(), g.add("conv", nn.Conv2d(1, 3, 3), x))
    g.output(y)
    mean = g.add("mean", nn.GlobalAvgPool2d(), y)
    g.output(g.add("sum", nn.Linear(3, 2), g.add("add", nn.Add(), mean, z)))
    return g


def assert_same(one: train.Trainer, other: train.Trainer) -> None:
    state, expected = one.state_dict(), other.state_dict()
    assert state.keys() == expected.keys()
    for name, array in state.items():
        assert array.tobytes() == expected[name].tobytes(), name


@pytest.mark.parametrize("device", DEVICES)
@settings(max_examples=8, deadline=None)
@given(st.data())
def test_many_steps_are_single_steps(device: str, data: st.DataObject) -> None:
    steps, images = data.draw(st.integers(1, 40)), data.draw(st.integers(1, 9))
    rows = np.random.default_rng(data.draw(st.integers(0, 99))).integers(0, 40, (steps, images))
    single, many = lenet_trainer(device), lenet_trainer(device)
    held = many.hold(IMAGES, LABELS)
    cut = data.draw(st.integers(0, steps))
    losses = np.concatenate([many.run(held, rows[:cut]), many.run(held, rows[cut:])])
    expected = [single.step(IMAGES[row], LABELS[row]) for row in rows]
    assert losses.dtype == np.float64 and losses.tobytes() == np.array(expected).tobytes()
    assert_same(many, single)
    assert many.steps == steps and many.gradient_length == single.gradient_length
    for name, array in single.losses.items():
        np.testing.assert_array_equal(many.losses[name], array)


@pytest.mark.parametrize("device", DEVICES)
def test_several_inputs_and_targets(device: str) -> None:
    x, z = (RANDOM.random((30, *shape), np.float32) for shape in ((5, 5, 1), (1, 1, 3)))
    y = {"relu": RANDOM.random((30, 3, 3, 3)), "sum": RANDOM.integers(-1, 2, 30)}
    single, many = (
        train.Trainer(
            two_ends(), {"relu": train.L1(weight=0.5), "sum": "cross_entropy"},
            train.SGD(rate=0.1, momentum=0.9), threads=1, seed=1, device=device
        )
        for _ in range(2)
    )  # fmt: skip
    rows = RANDOM.integers(0, 30, (25, 6))
    losses = many.run(many.hold([x, z], y), rows)
    for row, found in zip(rows, losses, strict=True):
        of_rows = {name: array[row] for name, array in y.items()}
        assert single.step([x[row], z[row]], of_rows).tobytes() == found.tobytes()
    assert_same(many, single)


@pytest.mark.parametrize("device", DEVICES)
def test_parts_of_many_steps(device: str) -> None:
    single, many = lenet_trainer(device), lenet_trainer(device)
    rows = RANDOM.integers(0, 40, (20, 37))
    losses = many.run(many.hold(IMAGES, LABELS), rows, parts=3)
    for row, found in zip(rows, losses, strict=True):
        assert single.step(IMAGES[row], LABELS[row], parts=3).tobytes() == found.tobytes()
    assert_same(many, single)


@pytest.mark.parametrize("device", DEVICES)
def test_a_number_that_is_not_finite_stops_the_call_there(device: str) -> None:
    images = IMAGES.copy()
    images[11, 3, 3] = np.inf
    rows = np.arange(36).reshape(9, 4) % 40
    rows[2] = [0, 11, 1, 2]  # the third step meets it, and later ones none
    single, many = lenet_trainer(device), lenet_trainer(device)
    held = many.hold(images, LABELS)
    with pytest.raises(train.Diverged, match="step 2 of lenet: input 0 .*, in image 1$"):
        many.run(held, rows)
    for row in rows[:2]:
        single.step(images[row], LABELS[row])
    assert many.steps == 2
    assert_same(many, single)
    row = rows[3:5]
    assert many.run(held, row).tobytes() == (
        np.array([single.step(images[r], LABELS[r]) for r in row]).tobytes()
    )


@pytest.mark.parametrize("device", DEVICES)
def test_what_is_refused_changes_nothing(device: str) -> None:
    trainer = lenet_trainer(device)
    held = trainer.hold(IMAGES, LABELS)
    assert held.images == 40 and held.device == trainer.device
    for rows, message in (
        ([[0, 40]], r"rows: expected 0 to 39, found 40 at \[0, 1\]"),
        ([[0, 1], [-1, 2]], r"rows: expected 0 to 39, found -1 at \[1, 0\]"),
        ([0, 1], r"expected integers \(steps, batch\), found int64 of shape \(2,\)"),
        ([[0.0]], "found float64"),
        (np.empty((3, 0), int), r"of shape \(3, 0\)"),
    ):
        with pytest.raises(ValueError, match=message):
            trainer.run(held, rows)
    with pytest.raises(ValueError, match="parts must be 1 to 1 for 2 images"):
        trainer.run(held, [[0, 1]], parts=2)
    with pytest.raises(ValueError, match="labels: expected 0 to 9, or below 0"):
        trainer.hold(IMAGES, LABELS + 9)
    other = train.Trainer(two_ends(), {"relu": "l1"}, train.SGD(rate=0.1), seed=1, device=device)
    with pytest.raises(ValueError, match="for another network on"):
        other.run(held, [[0, 1]])
    assert trainer.run(held, np.empty((0, 4), np.int64)).shape == (0, 4)
    assert trainer.steps == 0 and not trainer.losses


def test_pairs_are_of_rows() -> None:
    graph = Graph("score")
    graph.output(graph.add("score", nn.Linear(4, 1), graph.input("x", Shape(1, 1, 4))))
    trainer = train.Trainer(graph, train.RelativisticPairs(), train.SGD(rate=0.1), threads=1)
    x = RANDOM.random((6, 1, 1, 4), np.float32)
    held = trainer.hold(x)
    with pytest.raises(ValueError, match="groups of 2 images, not 3 images"):
        trainer.run(held, [[0, 1, 2]])
    assert trainer.run(held, [[0, 1], [4, 2]]).shape == (2, 2)


class _OnGpu:
    """What the libraries' side says of an array on a GPU, where there is none."""

    def __init__(self, element: str, shape: tuple[int, ...], strides: tuple[int, ...]) -> None:
        self.found = OnDevice(4096, 0, element, shape, strides, False, 1, self)


@pytest.fixture
def reader(monkeypatch: pytest.MonkeyPatch) -> batch.Reader:
    def locate(arrays: list[Any], names: list[str]) -> tuple[Any, list[OnDevice]]:
        return None, [x.found for x in arrays if isinstance(x, _OnGpu)]

    monkeypatch.setattr(batch, "locate", locate)
    return batch.Reader(train.Trainer(two_ends(), {"relu": "l1", "sum": "cross_entropy"},
                                      train.SGD(rate=0.1)).program, "cuda:0", 1)  # fmt: skip


def test_arrays_on_a_gpu_are_read_by_their_strides(reader: batch.Reader) -> None:
    x = _OnGpu("torch.float16", (6, 5, 5, 1), (50, 1, 5, 25))
    z = np.zeros((6, 1, 1, 3), np.float32)
    labels = _OnGpu("torch.int64", (6,), (2,))
    number = _OnGpu("float32", (6,), (3,))
    found = reader.arrays([x, z], [number, labels])
    assert found.inputs[0].native == ("x", 4096, "float16", (5, 5, 1), (50, 1, 5, 25), 1)
    assert found.inputs[1] is z
    assert [target.native[2:5] for target in found.targets] == [
        ("float32", (3, 3, 3), (3, 0, 0, 0)),  # a number an image
        ("int64", (1, 1, 1), (2, 0, 0, 0)),
    ]
    scalar = _OnGpu("float32", (), ())
    row = _OnGpu("float32", (3,), (7,))  # spread as NumPy does
    for of_relu, strides in ((scalar, (0, 0, 0, 0)), (row, (0, 0, 0, 7))):
        assert reader.arrays([x, z], [of_relu, labels]).targets[0].native[4] == strides


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (_OnGpu("float32", (6, 5, 4, 1), (1, 1, 1, 1)), None, r"x: expected shape \(n, 5, 5, 1\)"),
        (_OnGpu("complex64", (6, 5, 5, 1), (25, 5, 1, 1)), None, "x: expected float32, .* found c"),
        (None, _OnGpu("float32", (6,), (1,)), "labels of sum: expected integers, found float32"),
        (None, _OnGpu("int32", (5,), (1,)), r"labels of sum: expected shape \(6,\), found \(5,\)"),
    ],
)
def test_arrays_on_a_gpu_that_do_not_fit(
    reader: batch.Reader, x: Any, y: Any, message: str
) -> None:
    x = np.zeros((6, 5, 5, 1)) if x is None else x
    y = np.zeros(6, int) if y is None else y
    with pytest.raises(ValueError, match=message):
        reader.arrays([x, np.zeros((6, 1, 1, 3))], [0.0, y])


def test_arrays_elsewhere_are_refused(reader: batch.Reader) -> None:
    array = _OnGpu("float32", (6, 5, 5, 1), (25, 5, 1, 1))
    z = np.zeros((6, 1, 1, 3))
    reader._device = "cuda:1"
    with pytest.raises(ValueError, match="x is on cuda:0, and this trains on cuda:1"):
        reader.inputs([array, z])
    reader._device = "cpu"
    with pytest.raises(ValueError, match="x is on GPU 0, and this trains on the CPU"):
        reader.inputs([array, z])
    with pytest.raises(ValueError, match="a trainer on the CPU has its arrays on the host"):
        lenet_trainer(outputs=["softmax"]).output("softmax", on_device=True)


@pytest.mark.parametrize("device", DEVICES)
def test_features_that_are_kept(device: str) -> None:
    """Rows of pictures and of mirror images, held or (where memory is short) from the host."""
    arrays = [IMAGES, IMAGES[:, :, ::-1]]
    features = [Features.__new__(Features) for _ in arrays]
    for each, array in zip(features, arrays, strict=True):
        each.arrays = [np.ascontiguousarray(array)]
    single, many, short = (lenet_trainer(device) for _ in range(3))
    labels = [LABELS, (LABELS + 1) % 10]  # of mirror images
    kept, without = (
        KeptSteps(train.StepInParts(trainer), features, labels) for trainer in (many, short)
    )
    random, batches, expected = np.random.default_rng(3), [], []
    for size in (5, 5, 3):
        samples, mirrored = random.integers(0, 40, size), random.random(size) < 0.5
        batches.append(kept.rows(samples, mirrored))
        x = np.where(mirrored[:, None, None, None], arrays[1][samples], arrays[0][samples])
        expected.append(single.step(x, np.where(mirrored, labels[1][samples], LABELS[samples])))

    def no_memory(*_: Any) -> np.ndarray:
        raise MemoryError

    short.run = no_memory  # type: ignore[method-assign]
    for steps in (kept, without):
        for losses, right in zip(steps.several(batches), expected, strict=True):
            assert losses.tobytes() == right.tobytes()
    assert_same(many, single)
    assert_same(short, single)
