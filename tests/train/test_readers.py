"""Batches read from files: the same whoever reads them, and what cannot be read is passed over."""

from __future__ import annotations

import doctest
import pickle
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from facegen import train
from facegen.errors import FormatError
from facegen.train import order as order_module
from facegen.train.ahead import read_ahead
from facegen.train.readers import Loaded, Reader, Unreadable, read_rgb


@dataclass(frozen=True)
class Noisy:
    """A picture's pixels and noise, and its number."""

    paths: tuple[str, ...]

    def __call__(self, sample: int, random: np.random.Generator) -> tuple[np.ndarray, ...]:
        pixels = read_rgb(self.paths[sample]) / np.float32(255)
        return pixels + random.standard_normal(pixels.shape, np.float32), np.array(sample)


@pytest.fixture
def reader(tmp_path: Path) -> Reader:
    random = np.random.default_rng(0)
    for i in range(6):
        pixels = random.integers(0, 256, (5, 4, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{i}.png")
    (tmp_path / "2.png").write_bytes(b"\x89PNG")
    (tmp_path / "3.png").unlink()
    paths = tuple(str(tmp_path / f"{i}.png") for i in range(6))
    return Reader(Noisy(paths), train.Order(samples=6, batch=4, seed=1))


@pytest.mark.parametrize("processes", [False, True])
def test_the_same_in_threads_and_processes(reader: Reader, processes: bool) -> None:
    expected = [reader(step) for step in range(4)]
    found = list(read_ahead(reader, range(4), ahead=2, workers=2, processes=processes))
    for one, other in zip(found, expected, strict=True):
        assert one.batch.step == other.batch.step and one.unreadable == other.unreadable
        for a, b in zip(one.arrays, other.arrays, strict=True):
            np.testing.assert_array_equal(a, b)
    assert [len(one.arrays[1]) for one in found] == [4, 2, 4, 2]
    assert pickle.loads(pickle.dumps(reader)) == reader


def test_what_cannot_be_read(reader: Reader) -> None:
    said: list[str] = []
    unreadable = Unreadable(said.append)
    for step in range(8):
        loaded = reader(step)
        unreadable.add(loaded)
        shown = loaded.arrays[1]
        expected = [4 if s in (2, 3) else s for s in loaded.batch.samples]  # the next one
        assert shown.tolist() == expected
    assert unreadable.count == len(said) == 2
    assert any("2.png: " in line for line in said)
    assert any("3.png: No such file" in line for line in said)
    only = Reader(Noisy(reader.read.paths[2:4]), train.Order(2, 2, 0))
    with pytest.raises(FormatError, match="not one of 2 samples can be read: .*png"):
        only(0)


def test_the_loop_counts_them(reader: Reader) -> None:
    said: list[str] = []
    entries: list = []
    reports = train.Reports(log_every=4, entry=entries.append, warn=said.append)

    def step(loaded: Loaded) -> dict[str, float]:
        return {"mean": float(loaded.arrays[0].mean())}

    train.Loop(reader, step, {}, 8, 4, reports=reports).run()
    assert len(said) == 2 and entries[-1]["unreadable"] == 2


@given(st.integers(1, 40), st.integers(1, 12), st.integers(0, 2**63 - 1), st.integers(0, 3))
def test_an_order_shows_everything_once(samples: int, batch: int, seed: int, epoch: int) -> None:
    order = train.Order(samples, batch, seed)
    first = epoch * order.steps_per_epoch
    batches = [order(first + i) for i in range(order.steps_per_epoch)]
    assert sorted(np.concatenate([b.samples for b in batches]).tolist()) == list(range(samples))
    assert {b.epoch for b in batches} == {epoch}
    draws = [b.random.random() for b in batches] + [
        b.random_of(s).random() for b in batches for s in b.samples
    ]
    assert len(set(draws)) == len(draws)


def test_orders_that_show_nothing() -> None:
    assert doctest.testmod(order_module).failed == 0
    for samples, batch in ((0, 1), (1, 0)):
        with pytest.raises(ValueError, match="at least 1"):
            train.Order(samples, batch, 0)
