"""The same work on more and more threads: strong scaling."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from facegen.engine import Runner
from facegen.engine.memory import check_memory
from facegen.errors import FacegenError
from facegen.lab.machine import copy_rate, fma_peak
from facegen.lab.timing import Times, in_turns
from facegen.nn import Conv2d, Graph, Shape, lower


@dataclass(frozen=True)
class Point:
    """One number of threads. What the machine itself has to give: `peak_gflops`, `copy_gbs`."""

    threads: int
    times: Times
    speed_up: float
    serial_share: float | None
    gflops: float
    peak_gflops: float
    copy_gbs: float

    @property
    def efficiency(self) -> float:
        return self.speed_up / self.threads


def layer_graph(height: int, width: int, channels: int, kernel: int) -> Graph:
    """One convolution that keeps the map's size and channels; FacegenError if too large."""
    graph = Graph(f"conv {kernel}x{kernel}, {height}x{width}x{channels}")
    front, back = (kernel - 1) // 2, kernel // 2
    try:
        x = graph.input("map", Shape(height, width, channels))
        conv = Conv2d(channels, channels, kernel, padding=((front, back), (front, back)))
        graph.output(graph.add("conv", conv, x))
    except ValueError as error:
        raise FacegenError(str(error)) from None
    return graph


def measure(
    graph: Graph,
    weights: dict[str, np.ndarray],
    batch: int,
    threads: Sequence[int],
    seconds: float,
) -> list[Point]:
    """Times of a batch of random images by the number of threads, in turns.

    The speed-up is by the first of `threads`, times its number. The serial share is Karp and
    Flatt's (1990): what share of the work would have to run on one thread for Amdahl's law to give
    this speed-up; None on one thread.

    Raises
    ------
    OutOfMemory
        It takes more memory than the machine has.
    """
    floats = sum(tensor.shape.floats for tensor in (*graph.inputs, *graph.outputs))
    check_memory(4 * batch * floats, f"{batch:,} images of {graph.name}")
    random = np.random.default_rng(0)
    images = [random.random((batch, *t.shape), np.float32) for t in graph.inputs]
    program = lower(graph, weights)
    runners = {str(n): Runner(program, "cpu", n) for n in threads}
    times = in_turns({n: partial(runner, *images) for n, runner in runners.items()}, seconds)
    first = threads[0]
    points = []
    for n in threads:
        found = times[str(n)]
        speed_up = first * times[str(first)].median / found.median
        serial = (1 / speed_up - 1 / n) / (1 - 1 / n) if n > 1 else None
        gflops = graph.flops * batch / found.median / 1e9
        points.append(
            Point(n, found, speed_up, serial, gflops, fma_peak(n), copy_rate(n, repeats=3))
        )
    return points
