"""What a runner refuses before anything is computed."""

from __future__ import annotations

import os

import numpy as np
import pytest

from facegen import _native, system
from facegen.engine import Runner
from facegen.engine.cpu import CHUNK_BYTES
from facegen.errors import DeviceError, OutOfMemory
from facegen.networks import NETWORKS
from facegen.nn import AvgPool2d, Graph, MaxPool2d, ReLU, Shape, lower
from facegen.nn.program import Program


@pytest.fixture
def program() -> Program:
    graph = Graph("one step")
    graph.output(graph.add("relu", ReLU(), graph.input("x", Shape(2, 2, 1))))
    return lower(graph, {})


@pytest.mark.parametrize("option", ["threads", "max_batch"])
@pytest.mark.parametrize("value", [0, -1, 1.5, 2.0, "2"])
def test_counts_that_are_none(program: Program, option: str, value: object) -> None:
    message = f"{option} must be a whole number, at least 1, not {value!r}"
    with pytest.raises(ValueError, match=message):
        Runner(program, "cpu", **{option: value})  # type: ignore[arg-type]


def test_numpys_integers_are_counts(program: Program) -> None:
    runner = Runner(program, "cpu", threads=np.int64(1), max_batch=np.int32(2))  # type: ignore[arg-type]
    np.testing.assert_array_equal(runner(np.full((3, 2, 2, 1), -1, np.float32)), 0)


@pytest.mark.parametrize("threads", [10**5, 2**31, 10**30])
def test_more_threads_than_processors_are_as_many_as_there_can_be(
    program: Program, threads: int
) -> None:
    runner = Runner(program, "cpu", threads=threads)
    assert runner.threads == _native.most_threads()
    assert 16 <= _native.most_threads() <= max(16, os.cpu_count() or 1)
    np.testing.assert_array_equal(runner(np.full((3, 2, 2, 1), -1, np.float32)), 0)


def test_steps_are_not_measured_on_a_cpu(program: Program) -> None:
    runner = Runner(program, "cpu")
    with pytest.raises(DeviceError, match="steps are measured on GPUs alone, .* computes on cpu"):
        runner.time_steps(1, 1)


@pytest.mark.parametrize("option", ["images", "repeats"])
@pytest.mark.parametrize("value", [0, -1, 1.5])
def test_counts_of_measured_steps(program: Program, option: str, value: object) -> None:
    counts: dict[str, object] = {"images": 1, "repeats": 1, option: value}
    with pytest.raises(ValueError, match=f"{option} must be a whole number, at least 1"):
        Runner(program, "cpu").time_steps(**counts)  # type: ignore[arg-type]


@pytest.mark.cuda
def test_steps_measured_on_a_gpu(program: Program) -> None:
    steps = Runner(program, "cuda").time_steps(3, 2)
    assert steps and all(kernel and ms > 0 for kernel, ms in steps)


def of_floats(count: int) -> Program:
    """A program whose images have so many floats, in and out together."""
    graph = Graph("one step")
    graph.output(graph.add("relu", ReLU(), graph.input("x", Shape(1, count // 2, 1))))
    return lower(graph, {})


@pytest.mark.parametrize("max_batch", [1, 5, None])
def test_a_chunk_is_whole_batches_that_fit(max_batch: int | None) -> None:
    for floats in (2, 1000, 30_000, 3_000_000):
        runner = Runner(of_floats(floats), "cpu", max_batch=max_batch)
        batch, item_bytes = max_batch or 32, 4 * floats
        chunk = runner.chunk
        assert chunk == Runner(of_floats(floats), "cpu", threads=2, max_batch=max_batch).chunk
        assert chunk == batch or chunk % batch == 0 and chunk * item_bytes <= CHUNK_BYTES
        assert (chunk + batch) * item_bytes > CHUNK_BYTES


@pytest.mark.parametrize(("name", "chunk"), [("dcgan", 64), ("lenet", 1312)])
def test_the_chunks_of_networks(name: str, chunk: int) -> None:
    """Journals count them: where one changes, runs that were killed begin anew."""
    network = NETWORKS[name]
    assert network.model(network.initial_weights(1), device="cpu").runner.chunk == chunk


def test_a_graph_is_no_program() -> None:
    graph = Graph("one")
    graph.output(graph.add("relu", ReLU(), graph.input("x", Shape(2, 2, 1))))
    with pytest.raises(TypeError, match="takes a Program, not a Graph: lower it"):
        Runner(graph)  # type: ignore[arg-type]


def test_memory_is_asked_for_before_it_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = Graph("two steps")
    x = graph.input("x", Shape(16, 16, 1))
    graph.output(graph.add("pool", MaxPool2d(2), graph.add("mean", AvgPool2d(3, 1, 1), x)))
    program = lower(graph, {})
    assert program.arena_floats == 16 * 16
    one = 4 * (16 * 16 + 16 * 16 + 8 * 8)
    monkeypatch.setattr(system, "memory_bytes", lambda: one - 1)
    with pytest.raises(OutOfMemory, match=f"one image of two steps: takes {one:,} bytes"):
        Runner(program, "cpu")
    monkeypatch.setattr(system, "memory_bytes", lambda: one)
    runner = Runner(program, "cpu")
    assert runner(np.ones((9, 16, 16, 1), np.float32)).shape == (9, 8, 8, 1)
    with pytest.raises(OutOfMemory, match="10 results of two steps: takes 2,560 bytes"):
        runner(np.ones((10, 16, 16, 1), np.float32))
    monkeypatch.setattr(system, "memory_bytes", lambda: None)  # a system that does not tell
    assert runner(np.ones((10, 16, 16, 1), np.float32)).shape == (10, 8, 8, 1)


def test_how_much_memory_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever limits a container has, it is no more than the machine's."""
    there = system.memory_bytes()
    assert there is not None and 2**26 < there <= os.sysconf("SC_PHYS_PAGES") * 2**16
    monkeypatch.setattr(system, "_machine_bytes", lambda: 1000)
    monkeypatch.setattr(system, "_group_limits", lambda: iter([5000, 900, 2**63]))
    system.memory_bytes.cache_clear()
    assert system.memory_bytes() == 900
    system.memory_bytes.cache_clear()
