"""Forks of a process whose threads use a model: each child uses it too, and must come to an end."""

from __future__ import annotations

import functools
import os
import signal
import sys
import threading
import time

import numpy as np

from facegen import kernels
from facegen.colour.lab import rgb_to_lab
from facegen.engine import Runner
from facegen.nn import Conv2d, Graph, InstanceNorm, Shape, lower

FORKS = 50  # of a round
PATIENCE_S = 60


@functools.cache
def models() -> list[tuple[Runner, np.ndarray, np.ndarray]]:
    """Networks of some microseconds and of some milliseconds: each an input and what it becomes."""
    return [make_model(2, 1), make_model(12, 4)]


def make_model(size: int, images: int) -> tuple[Runner, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(size)
    graph = Graph("forked")
    x = graph.input("x", Shape(size, size, 4))
    x = graph.add("conv", Conv2d(4, 24, 3, padding=1), x)
    x = graph.add("norm", InstanceNorm(24), x)
    graph.output(graph.add("last", Conv2d(24, 24, 3, padding=1), x))
    weights = {
        name: rng.standard_normal(shape).astype(np.float32)
        for name, shape in graph.parameters.items()
    }
    runner = Runner(lower(graph, weights), "cpu", threads=3)
    batch = rng.standard_normal((images, size, size, 4)).astype(np.float32)
    return runner, batch, runner(batch)


def use() -> None:
    """What threads and children do."""
    for runner, batch, expected in models():
        if not (runner(batch) == expected).all():
            raise AssertionError("another result than before")
    rgb_to_lab(np.full((64, 64, 3), 77, np.uint8), threads=2)
    ones = np.ones((1, 4, 4, 1), np.float32)
    kernels.conv2d(ones, np.ones((1, 2, 2, 1), np.float32))  # a network made, lowered and used


@functools.cache
def start_threads() -> None:
    """A few that use the models as long as this process lives."""

    def use_on() -> None:
        while True:
            use()

    sys.setswitchinterval(1e-5)  # forks find the others at any place
    use()  # whatever is imported at the first use is there: Python's import locks outlive a fork
    for _ in range(4):
        threading.Thread(target=use_on, daemon=True).start()


def fork_and_use() -> None:
    """Raise AssertionError where the child fails or hangs."""
    child = os.fork()
    if child == 0:
        try:
            use()
        except BaseException:
            os._exit(3)
        os._exit(0)
    end = time.monotonic() + PATIENCE_S
    while (done := os.waitpid(child, os.WNOHANG))[0] == 0:
        if time.monotonic() > end:
            os.kill(child, signal.SIGABRT)  # faulthandler shows where
            os.waitpid(child, 0)
            raise AssertionError(f"a forked child hangs for {PATIENCE_S} s")
        time.sleep(0.001)
    code = os.waitstatus_to_exitcode(done[1])
    assert code == 0, f"a forked child ended with {code}"


def one_round(rng: np.random.Generator) -> None:
    start_threads()
    for _ in range(FORKS):
        time.sleep(rng.uniform(0, 0.003))
        fork_and_use()
