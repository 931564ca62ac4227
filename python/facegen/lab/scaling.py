"""The same work on more and more threads: strong scaling."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from facegen import _native
from facegen.engine import Runner
from facegen.engine.memory import check_memory
from facegen.errors import FacegenError
from facegen.lab.machine import copy_rate, fma_peak
from facegen.lab.timing import Times, in_turns
from facegen.nn import Conv2d, Graph, Shape, lower


@dataclass(frozen=True)
class Point:
    """One number of threads. What the machine itself has to give: `peak_gflops`, `copy_gbs`.

    Attributes
    ----------
    speed_up
        Times as fast as on the first number of threads that was measured, of which it is 1.
    efficiency
        Speed-up by threads; None where nothing was measured on one thread.
    serial_share
        Karp and Flatt's (1990): what share of the work would have to run on one thread for Amdahl's
        law to give this speed-up; None on one thread, and where none was measured on one.
    """

    threads: int
    times: Times
    speed_up: float
    efficiency: float | None
    serial_share: float | None
    gflops: float
    peak_gflops: float
    copy_gbs: float


def layer_graph(height: int, width: int, channels: int, kernel: int) -> Graph:
    """One convolution that keeps the map's size and channels; FacegenError if too large."""
    name = f"conv {kernel}x{kernel}, {height}x{width}x{channels}"
    front, back = (kernel - 1) // 2, kernel // 2
    try:
        conv = Conv2d(channels, channels, kernel, padding=((front, back), (front, back)))
        return Graph.of_layer(name, conv, Shape(height, width, channels))
    except ValueError as error:
        raise FacegenError(str(error)) from None


def measure(
    graph: Graph,
    weights: dict[str, np.ndarray],
    batch: int,
    threads: Sequence[int],
    seconds: float,
) -> list[Point]:
    """Times of a batch of random images by the number of threads, in turns.

    The speed-up is against the first of `threads`. What it would be against one thread is not
    known unless that one is 1: then alone there are efficiency and serial share.

    Raises
    ------
    FacegenError
        More threads than the engine takes on this machine: fewer would be measured.
    OutOfMemory
        It takes more memory than the machine has.
    """
    most = _native.most_threads()
    if max(threads) > most:
        raise FacegenError(f"{max(threads):,} threads: expected up to {most:,} on this machine")
    floats = sum(tensor.shape.floats for tensor in (*graph.inputs, *graph.outputs))
    check_memory(4 * batch * floats, f"{batch:,} images of {graph.name}")
    random = np.random.default_rng(0)
    images = [random.random((batch, *t.shape), np.float32) for t in graph.inputs]
    program = lower(graph, weights)
    runners = {str(n): Runner(program, "cpu", n) for n in threads}
    times = in_turns({n: partial(runner, *images) for n, runner in runners.items()}, seconds)
    first = times[str(threads[0])].median
    points = []
    for n in threads:
        found = times[str(n)]
        speed_up = first / found.median
        efficiency = speed_up / n if threads[0] == 1 else None
        serial = (1 / speed_up - 1 / n) / (1 - 1 / n) if threads[0] == 1 and n > 1 else None
        gflops = graph.flops * batch / found.median / 1e9
        machine = fma_peak(n), copy_rate(n, repeats=3)
        points.append(Point(n, found, speed_up, efficiency, serial, gflops, *machine))
    return points
