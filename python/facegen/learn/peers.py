"""What the CPU staircase is seen beside: facegen's own kernels on the same layers, and PyTorch."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facegen import processors
from facegen.engine import Runner
from facegen.nn import Conv2d, ConvTranspose2d, Graph, Shape, lower

Array = NDArray[np.float32]
Convolution = Conv2d | ConvTranspose2d


@dataclass(frozen=True)
class Peer:
    """The time of one layer by another program.

    Attributes
    ----------
    name
        "facegen", "facegen, direct" (by as many products as the definition has), "PyTorch 2.9".
    threads
        Used.
    seconds
        The least of several: processor time where one thread computes, else by the clock.
    """

    name: str
    threads: int
    seconds: float


def layer_of(problem: str) -> tuple[Convolution, Shape]:
    """A layer of course/common/problem.h, and the shape of its input."""
    if problem == "conv3x3":
        return Conv2d(256, 256, 3, padding=1, bias=False), Shape(32, 32, 256)
    padding = ((1, 2), (1, 2))
    return ConvTranspose2d(256, 128, 5, stride=2, padding=padding, bias=False), Shape(8, 8, 256)


def peers(problem: str, seconds: float, threads: int | None = None) -> Iterator[Peer]:
    """facegen and, where it is installed, PyTorch.

    Parameters
    ----------
    problem
        "conv3x3" or "tconv2": one image.
    seconds
        For which each is timed.
    threads
        To use; one, and then all where there are more, if None.
    """
    layer, shape = layer_of(problem)
    generator = np.random.default_rng(0)
    x = generator.uniform(-1, 1, (1, *shape)).astype(np.float32)
    weight = generator.uniform(-1, 1, layer.weight_shape).astype(np.float32)
    counts = sorted({1, processors.count()}) if threads is None else [threads]
    for count in counts:
        for name, algorithm in (("facegen, direct", "direct"), ("facegen", "auto")):
            runner = _runner(layer, shape, weight, algorithm, count)
            out = runner(x)
            least = least_seconds(partial(runner, x, out=out), count, seconds)
            yield Peer(name, count, least)
    if find_spec("torch") is not None:
        for count in counts:
            yield _pytorch(problem, x, weight, count, seconds)


def _runner(
    layer: Convolution, shape: Shape, weight: Array, algorithm: str, threads: int
) -> Runner:
    graph = Graph("layer")
    graph.output(graph.add("layer", layer, graph.input("x", shape)))
    return Runner(lower(graph, {"layer.weight": weight}, algorithm), "cpu", threads)


def _pytorch(problem: str, x: Array, weight: Array, threads: int, seconds: float) -> Peer:
    """The faster of its two layouts of memory."""
    import torch
    from torch.nn import functional

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        image = torch.from_numpy(x).permute(0, 3, 1, 2)
        kernel = torch.from_numpy(weight).permute(0, 3, 1, 2)

        def convolve(image: Any, kernel: Any) -> Any:
            if problem == "conv3x3":
                return functional.conv2d(image, kernel, padding=1)
            # padding 2 and an output more is 1 and 2 rows cut off, with the kernel's rows turned
            # round: as many products, which is all that a clock sees.
            return functional.conv_transpose2d(
                image, kernel.transpose(0, 1), stride=2, padding=2, output_padding=1
            )

        with torch.inference_mode():
            layouts = ((image, kernel), (image.contiguous(), kernel.contiguous()))
            least = min(
                least_seconds(partial(convolve, *each), threads, seconds / 2) for each in layouts
            )
    finally:
        torch.set_num_threads(before)
    return Peer(f"PyTorch {torch.__version__.partition('+')[0]}", threads, least)


def least_seconds(call: Callable[[], Any], threads: int, seconds: float) -> float:
    """The least time of several, as the course's own programs take it (course/common)."""
    clock = time.process_time if threads == 1 and os.name != "nt" else time.perf_counter
    call()
    least, end = float("inf"), time.perf_counter() + seconds
    runs = 0
    while runs < 3 or time.perf_counter() < end:
        begin = clock()
        call()
        least = min(least, clock() - begin)
        runs += 1
    return max(least, 1e-9)
