"""Inputs and targets in pieces: to the bit what the joined arrays give."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from training_engines import DEVICES

from facegen import nn, train
from facegen.nn import Graph, Shape

RANDOM = np.random.default_rng(0)
LARGE = 600  # pixels on a side: an image is more than a block of what goes up, of 1 MB
MANY = 400  # several images are, and 20 of them more than the 8 blocks that are filled at once


def two_ends(side: int = 5) -> Graph:
    g = Graph("two ends")
    x, z = g.input("x", Shape(side, side, 1)), g.input("z", Shape(1, 1, 3))
    y = g.add("relu", nn.ReLU(), g.add("conv", nn.Conv2d(1, 3, 3), x))
    mean = g.add("mean", nn.GlobalAvgPool2d(), y)
    g.output(g.add("near", nn.Add(), mean, z))
    g.output(g.add("sum", nn.Linear(3, 2), g.add("add", nn.Add(), mean, z)))
    return g


def trainer(device: str, side: int = 5, **options: Any) -> train.Trainer:
    return train.Trainer(
        two_ends(side), {"near": "l2", "sum": "cross_entropy"}, train.SGD(rate=0.1), seed=1,
        threads=1, device=device, **options,
    )  # fmt: skip


def batch(images: int, side: int = 5) -> tuple[np.ndarray, ...]:
    """Both inputs and both targets."""
    shapes = ((side, side, 1), (1, 1, 3), (1, 1, 3))
    numbers = (RANDOM.standard_normal((images, *shape), np.float32) for shape in shapes)
    return (*numbers, RANDOM.integers(-1, 2, images))


def cut(array: np.ndarray, pieces: int, interleaved: bool) -> train.Pieces:
    """An array of at least as many images as pieces."""
    if interleaved:
        return train.Pieces([array[i::pieces] for i in range(pieces)], interleaved=True)
    places = np.sort(RANDOM.choice(np.arange(1, len(array)), pieces - 1, replace=False))
    return train.Pieces(np.split(array, places))


def assert_same(one: train.Trainer, other: train.Trainer) -> None:
    for name, array in one.state_dict().items():
        assert array.tobytes() == other.state_dict()[name].tobytes(), name


@pytest.mark.parametrize("device", DEVICES)
@settings(max_examples=20, deadline=None)
@given(st.integers(1, 4), st.integers(1, 4), st.booleans(), st.booleans())
def test_pieces_are_the_whole(
    device: str, pieces: int, times: int, first: bool, rest: bool
) -> None:
    whole, other = trainer(device), trainer(device)
    arrays = batch(pieces * times)
    x, z, y, labels = (
        cut(array, pieces, interleaved)
        for array, interleaved in zip(arrays, (first, rest, first, rest), strict=True)
    )
    expected = whole.step(arrays[:2], arrays[2:])
    assert other.step([x, arrays[1]], [y, labels]).tobytes() == expected.tobytes()
    expected = whole.step(arrays[:2], arrays[2:])
    assert other.step([arrays[0], z], {"near": y, "sum": arrays[3]}).tobytes() == expected.tobytes()
    for name, array in whole.predict(arrays[:2]).items():
        assert other.predict([x, z])[name].tobytes() == array.tobytes()
    rows = RANDOM.integers(0, len(arrays[0]), (3, 5))
    expected = whole.run(whole.hold(arrays[:2], arrays[2:]), rows)
    assert other.run(other.hold([x, z], [y, labels]), rows).tobytes() == expected.tobytes()
    assert_same(other, whole)


@pytest.mark.parametrize("interleaved", [False, True])
@pytest.mark.parametrize("device", DEVICES)
def test_images_larger_than_what_goes_up_at_once(device: str, interleaved: bool) -> None:
    whole, other = trainer(device, LARGE), trainer(device, LARGE)
    x, z, y, labels = batch(4, LARGE)
    expected = whole.step([x, z], [y, labels])
    found = other.step([cut(x, 2, interleaved), z], [y, labels])
    assert found.tobytes() == expected.tobytes()


@pytest.mark.parametrize("device", DEVICES)
def test_interleaved_images_of_many_blocks(device: str) -> None:
    whole, other = trainer(device, MANY), trainer(device, MANY)
    x, z, y, labels = batch(40, MANY)
    expected = whole.step([x, z], [y, labels])
    found = other.step([cut(x, 2, True), z], [y, labels])
    assert found.tobytes() == expected.tobytes()


@pytest.mark.parametrize("device", DEVICES)
def test_targets_that_spread_and_other_numbers(device: str) -> None:
    whole, other = trainer(device), trainer(device)
    x, z, _, labels = batch(4)
    y = np.array([3.0, 1.0, 2.0, 2.0]).reshape(4, 1, 1, 1)
    halves = train.Pieces([y[:2].ravel(), y[2:].astype(int)])
    expected = whole.step([x, z.astype(np.float16)], [y, labels])
    found = other.step([train.Pieces([x[:3], x[3:].astype(np.float64)]), z.astype(np.float16)],
                       [halves, train.Pieces([labels[:1], labels[1:].astype(np.uint8) % 2])])
    assert found[1:].shape == expected[1:].shape and np.isfinite(found).all()
    assert other.losses["near"].tobytes() == whole.losses["near"].tobytes()


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (train.Pieces([]), None, r"x: expected pieces of 1 image or more, found \[\]"),
        (train.Pieces([np.zeros((3, 5, 5, 1)), np.zeros((0, 5, 5, 1))]), None, r"found \[3, 0\]"),
        (
            train.Pieces([np.zeros((1, 5, 5, 1)), np.zeros((2, 5, 5, 1))], interleaved=True),
            None, r"x: interleaved pieces must be of one length, not \[1, 2\]",
        ),
        (
            train.Pieces([np.zeros((1, 5, 5, 1)), np.zeros((2, 5, 4, 1))]),
            None, r"piece 1 of x: expected shape \(n, 5, 5, 1\), found \(2, 5, 4, 1\)",
        ),
        (
            train.Pieces([train.Pieces([np.zeros((3, 5, 5, 1))])]),
            None, r"piece 0 of x: expected shape \(n, 5, 5, 1\), found \(\)",
        ),
        (train.Pieces([np.zeros((2, 5, 5, 1))]), None, "z has 3 images, and x 2"),
        (
            None, train.Pieces([np.zeros((2, 1, 1, 3))]),
            "targets of near: expected pieces of 3 images, found 2",
        ),
        (None, train.Pieces([2.0, np.zeros(2)]), "piece 0 of targets of near: .* found a number"),
        (
            None, train.Pieces([np.zeros((3, 1, 1, 2))]),
            r"piece 0 of targets of near: expected shape \(3, 1, 1, 3\), or what spreads to it",
        ),
    ],
)  # fmt: skip
def test_pieces_that_do_not_fit(device: str, x: Any, y: Any, message: str) -> None:
    whole, z, near, labels = batch(3)
    x, y = whole if x is None else x, near if y is None else y
    with pytest.raises(ValueError, match=message):
        trainer(device).step([x, z], [y, labels])


@pytest.mark.parametrize("device", DEVICES)
def test_pieces_beside_several_inputs(device: str) -> None:
    x, z, near, labels = batch(3)
    with pytest.raises(ValueError, match="two ends takes 2 inputs, not 1"):
        trainer(device).step(train.Pieces([x]), [near, labels])
    with pytest.raises(ValueError, match=r"targets: expected 2 \(near, sum\), found 1"):
        trainer(device).step([x, z], train.Pieces([near]))
    with pytest.raises(ValueError, match="piece 1 of labels of sum: expected 0 to 1, .* found 2"):
        trainer(device).step([x, z], [near, train.Pieces([labels[:1], [2, 2]])])
    with pytest.raises(ValueError, match="piece 0 of labels of sum: expected integers"):
        trainer(device).step([x, z], [near, train.Pieces([labels * 1.0])])


@pytest.mark.cuda
@pytest.mark.parametrize("interleaved", [False, True])
def test_pieces_on_the_gpu_and_on_the_host(interleaved: bool) -> None:
    """What a trainer makes, beside arrays of the host; predictions stay on the GPU as well."""
    maker, whole, other = trainer("cuda"), trainer("cuda"), trainer("cuda")
    x, z, _, labels = batch(3)
    made = maker.predict([x, z], on_device=True)["near"]
    expected = maker.predict([x, z])["near"]
    assert type(made).__name__ == "DeviceArray" and made.numpy().tobytes() == expected.tobytes()
    zs = train.Pieces([z, expected], interleaved)
    xs, near = np.concatenate([x, x]), np.zeros((6, 1, 1, 3))
    both = np.concatenate([labels, labels])
    losses = whole.step([xs, zs.joined()], [near, both])
    found = other.step([xs, train.Pieces([z, made], interleaved)], [near, both])
    assert found.tobytes() == losses.tobytes()
    targets = train.Pieces([expected, z], interleaved)
    losses = whole.step([xs, zs.joined()], [targets.joined(), both])
    found = other.step([xs, zs], [train.Pieces([made, z], interleaved), both])
    assert found.tobytes() == losses.tobytes()
    assert_same(other, whole)
    with pytest.raises(ValueError, match="piece 1 of z is on GPU 0, and this trains on the CPU"):
        trainer("cpu").step([xs, train.Pieces([z, made])], [near, both])


@pytest.mark.cuda
def test_labels_on_the_gpu_in_pieces() -> None:
    torch = pytest.importorskip("torch")
    x, z, near, _ = batch(4)
    labels = torch.tensor([1, 7], device="cuda")
    pieces = train.Pieces([np.array([0, 1]), labels], interleaved=True)
    message = "piece 1 of labels of sum: expected 0 to 1, .*, found another in image 1"
    with pytest.raises(ValueError, match=message):
        trainer("cuda").step([x, z], [near, pieces])


def test_a_trainer_on_the_cpu_has_its_predictions_on_the_host() -> None:
    with pytest.raises(ValueError, match="has its arrays on the host"):
        trainer("cpu").predict([], on_device=True)
