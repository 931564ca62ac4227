"""Steps that are not waited for, and arrays on a GPU, read and used again in order."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from places_ahead import assert_losses, assert_same

from facegen import nn, train
from facegen.nn import Graph, Shape

pytestmark = pytest.mark.cuda

STEPS = 20  # more than may be under way
SIDE = 48
RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.standard_normal((64, SIDE, SIDE, 3), np.float32)
TARGETS = RANDOM.standard_normal((64, 1, 1, 4), np.float32)


def network() -> Graph:
    g = Graph("network")
    x = g.add("conv", nn.Conv2d(3, 32, 3, padding=1), g.input("x", Shape(SIDE, SIDE, 3)))
    x = g.add("relu", nn.ReLU(), g.add("norm", nn.BatchNorm(32), x))
    y = g.add("shown", nn.Tanh(), g.add("out", nn.Conv2d(32, 3, 3, padding=1), x))
    g.output(y)
    g.output(g.add("score", nn.Linear(32, 4), g.add("mean", nn.GlobalAvgPool2d(), x)))
    return g


def trainer(**options: Any) -> train.Trainer:
    choices: dict[str, Any] = {"outputs": ["shown"], "seed": 3, "device": "cuda", **options}
    return train.Trainer(network(), {"score": "l2"}, train.Adam(rate=1e-3), **choices)


@contextmanager
def busy() -> Iterator[None]:
    """The default stream is behind by half a second: what does not wait for it is found out."""
    import torch

    torch.cuda._sleep(1_000_000_000)
    yield


@pytest.mark.parametrize("side_stream", [False, True])
def test_tensors_may_be_overwritten_in_the_order_of_their_stream(side_stream: bool) -> None:
    torch = pytest.importorskip("torch")
    waits, ahead = trainer(), trainer()
    expected = [waits.step(IMAGES[i : i + 32], TARGETS[i : i + 32]) for i in range(STEPS)]
    stream = torch.cuda.Stream() if side_stream else torch.cuda.default_stream()
    images, targets = torch.from_numpy(IMAGES).cuda(), torch.from_numpy(TARGETS).cuda()
    torch.cuda.synchronize()
    with torch.cuda.stream(stream), busy():
        x, y = torch.empty_like(images[:32]), torch.empty_like(targets[:32])
        for i in range(STEPS):
            x.copy_(images[i : i + 32])
            y.copy_(targets[i : i + 32])
            ahead.step(x, y, wait=False)
            x.fill_(float("nan"))
            y.fill_(float("nan"))
    assert_losses(ahead.wait(), expected)
    assert_same(ahead, waits)


def test_tensors_may_be_freed() -> None:
    torch = pytest.importorskip("torch")
    waits, ahead = trainer(), trainer()
    expected = [waits.step(IMAGES[i : i + 32], TARGETS[i : i + 32]) for i in range(STEPS)]
    images = torch.from_numpy(IMAGES).cuda()
    with busy():
        for i in range(STEPS):
            ahead.step(images[i : i + 32].clone(), TARGETS[i : i + 32], wait=False)
            torch.full((32, SIDE, SIDE, 3), float("nan"), device="cuda")
    assert_losses(ahead.wait(), expected)
    assert_same(ahead, waits)


def test_what_was_made_goes_on_to_others_and_its_memory_is_used_again() -> None:
    waits, ahead = trainer(), trainer()
    first, second = trainer(seed=4), trainer(seed=4)
    expected: list[np.ndarray] = []
    places = set()
    for i in range(STEPS):
        batch = IMAGES[i : i + 32], TARGETS[i : i + 32]
        waits.step(*batch)
        expected.append(first.step(waits.output("shown"), batch[1]))
        ahead.step(*batch, wait=False)
        shown = ahead.output("shown", on_device=True)
        places.add(shown.pointer)
        second.step(shown, batch[1], wait=False)
        del shown
    assert len(places) < STEPS / 2  # of those that were given back
    assert_losses(second.wait(), expected)
    assert_same(second, first)
    assert_same(ahead, waits)
    there = ahead.output("shown", on_device=True)
    assert there.numpy().tobytes() == waits.output("shown").tobytes()


def test_arrays_that_others_have_by_dlpack() -> None:
    """They keep their memory, and it is waited for when they let go of it."""
    torch = pytest.importorskip("torch")
    waits, ahead = trainer(), trainer()
    kept, sums, expected = [], [], []
    for i in range(STEPS):
        batch = IMAGES[i : i + 32], TARGETS[i : i + 32]
        waits.step(*batch)
        ahead.step(*batch, wait=False)
        tensor = torch.from_dlpack(ahead.output("shown", on_device=True))
        kept.append(tensor)
        sums.append((tensor * 2).sum())
        expected.append(waits.output("shown"))
    for tensor, array in zip(kept, expected, strict=True):
        assert tensor.cpu().numpy().tobytes() == array.tobytes()
    assert torch.isfinite(torch.stack(sums)).all()


@pytest.mark.parametrize("images", [32, 20, 64])
def test_predictions_and_gradients_behind_steps(images: int) -> None:
    waits, ahead = trainer(inputs=["x"], outputs=[]), trainer(inputs=["x"], outputs=[])
    expected = []
    others = IMAGES[::-1][:images]
    for i in range(6):
        batch = IMAGES[i : i + 32], TARGETS[i : i + 32]
        expected.append(waits.step(*batch))
        ahead.step(*batch, wait=False)
        there = ahead.predict(IMAGES[:images], on_device=True)["score"]
        made = waits.predict(IMAGES[:images])["score"]
        losses, gradients = waits.gradients(others, made, on_device=True)
        expected.append(losses)
        nothing, found = ahead.gradients(others, there, on_device=True, wait=False)
        assert nothing is None
        assert there.numpy().tobytes() == made.tobytes()
        for name, gradient in gradients.items():
            assert found[name].numpy().tobytes() == gradient.numpy().tobytes(), name
    assert_losses(ahead.wait(), expected)
    assert_same(ahead, waits)


def test_a_step_goes_on_from_its_prediction() -> None:
    waits, ahead = trainer(), trainer()
    expected = []
    for i in range(STEPS):
        x, y = IMAGES[i : i + 32], TARGETS[i : i + 32]
        expected.append(waits.step(x, y))
        ahead.predict(x, on_device=True)
        ahead.step(x, y, predicted=True, wait=False)
    assert_losses(ahead.wait(), expected)
    assert_same(ahead, waits)


def test_where_it_began_is_found_behind_predictions_and_smaller_steps() -> None:
    waits, ahead = trainer(), trainer()
    broken = IMAGES[:32].copy()
    broken[7, 3, 3, 1] = np.nan
    for each in (waits, ahead):
        each.step(IMAGES[:32], TARGETS[:32])
        each.step(IMAGES[:16], TARGETS[:16])
        each.predict(IMAGES[:20])
    ahead.step(IMAGES[:32], TARGETS[:32], wait=False)
    expected = waits.step(IMAGES[:32], TARGETS[:32])
    with pytest.raises(train.Diverged, match="step 3 of network: input 0 has .*, in image 7$"):
        ahead.step(broken, TARGETS[:32], wait=False)
        ahead.step(IMAGES[:16], TARGETS[:16], wait=False)
        ahead.predict(IMAGES[:20], on_device=True)
        ahead.wait()
    assert_losses(ahead.wait(), [expected])
    assert_same(ahead, waits)


def test_a_batch_too_large_for_the_gpu_behind_steps() -> None:
    graph = Graph("wide")
    x = graph.add("up", nn.ConvTranspose2d(1, 64, 64), graph.input("x", Shape(1, 1, 1)))
    graph.output(graph.add("mean", nn.GlobalAvgPool2d(), x))
    each = train.Trainer(graph, "l2", train.SGD(rate=0.1), seed=1, device="cuda")
    x = np.ones((300_000, 1, 1, 1), np.float32)  # each takes a megabyte
    before = each.step(x[:2], 0.0)
    each.step(x[:2], 0.0, wait=False)
    with pytest.raises(MemoryError, match="300,000 images of wide in training: takes more"):
        each.step(x, 0.0, wait=False)
    each.step(x[:2], 0.0, wait=False)
    losses = each.wait()
    assert len(losses) == 2 and losses[1].mean() < losses[0].mean() < before.mean()
