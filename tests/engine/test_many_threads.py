"""Models, ops and text from many threads at once: what each gets is what it would get alone.

On a free-threaded CPython nothing else keeps the threads apart.
"""

from __future__ import annotations

import sys
import sysconfig
import threading
from collections.abc import Callable

import numpy as np
import pytest

from facegen import _native, kernels
from facegen.engine import Runner
from facegen.nn import BatchNorm, Conv2d, Graph, MaxPool2d, ReLU, Shape, lower
from random_weights import random_weights

THREADS = 8
ROUNDS = 20


def at_once(work: Callable[[int], None]) -> None:
    """Calls work(0), work(1), ... in threads of their own that begin together."""
    errors: list[BaseException] = []
    start = threading.Barrier(THREADS)

    def run(number: int) -> None:
        try:
            start.wait()
            for _ in range(ROUNDS):
                work(number)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def small_network() -> Runner:
    graph = Graph("small")
    x = graph.input("image", Shape(20, 20, 3))
    x = graph.add("conv1", Conv2d(3, 16, 3, padding=1), x)
    x = graph.add("bn", BatchNorm(16), x)
    x = graph.add("relu", ReLU(), x)
    x = graph.add("pool", MaxPool2d(2), x)
    graph.output(graph.add("conv2", Conv2d(16, 33, 3, padding=1), x))
    program = lower(graph, random_weights(graph, np.random.default_rng(1)))
    return Runner(program, device="cpu", threads=2)


def test_one_model():
    run = small_network()
    rng = np.random.default_rng(2)
    inputs = [rng.standard_normal((1 + n, 20, 20, 3), np.float32) for n in range(THREADS)]
    alone = [run(x) for x in inputs]

    def work(number: int) -> None:
        np.testing.assert_array_equal(run(inputs[number]), alone[number])

    at_once(work)


def test_models_of_their_own():
    x = np.random.default_rng(3).standard_normal((2, 20, 20, 3), np.float32)
    expected = small_network()(x)
    at_once(lambda number: np.testing.assert_array_equal(small_network()(x), expected))


def test_ops_and_text():
    rng = np.random.default_rng(4)
    x = rng.standard_normal((2, 9, 9, 5), np.float32)
    weight = rng.standard_normal((7, 3, 3, 5), np.float32)
    values = rng.standard_normal((50, 30), np.float32)
    y, text = kernels.conv2d(x, weight, padding=1, device="cpu"), _native.format_rows(values)

    def work(number: int) -> None:
        np.testing.assert_array_equal(kernels.conv2d(x, weight, padding=1, device="cpu"), y)
        assert _native.format_rows(values) == text

    at_once(work)


def test_a_parser_belongs_to_one_thread_at_a_time():
    """All numbers arrive, or the second thread is told; never anything else."""
    parser = _native.NumberParser()
    block = b"1.5 " * 10_000
    counts: list[int] = []

    def work(number: int) -> None:
        try:
            counts.append(len(parser.feed(block)))
        except RuntimeError as error:
            assert "in use by another thread" in str(error)

    at_once(work)
    assert counts and set(counts) == {10_000}


@pytest.mark.skipif(
    not sysconfig.get_config_var("Py_GIL_DISABLED"), reason="needs a free-threaded CPython"
)
def test_no_module_switches_the_gil_on():
    assert not sys._is_gil_enabled()
