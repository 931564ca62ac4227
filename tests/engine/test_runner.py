"""What a runner refuses before anything is computed."""

from __future__ import annotations

import os

import numpy as np
import pytest

from facegen import _native
from facegen.engine import Runner
from facegen.nn import Graph, ReLU, Shape, lower
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
