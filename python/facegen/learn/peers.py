"""What the CPU staircase is seen beside: facegen's own kernels on the same layers, and PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facegen import processors
from facegen.engine import Runner
from facegen.lab.timing import in_turns, steady_clock
from facegen.nn import Conv2d, ConvTranspose2d, Graph, Shape, lower

Array = NDArray[np.float32]
Convolution = Conv2d | ConvTranspose2d


@dataclass(frozen=True)
class Peer:
    """The time of one of the two problems by another program.

    Attributes
    ----------
    name
        "facegen", "facegen, direct" (by as many products as the definition has), "PyTorch 2.9".
    ms, gflops
        For its images, and the definition's multiply-adds (2 operations each) by it.
    threads
        Used; None on a GPU.
    peak_gflops
        The ceiling of its arithmetic by the data sheet; None where it is measured by the rungs.
    relative_error
        The largest, relative to the outputs' root mean square; None where none was looked for.
    wrong
        What is wrong; empty where nothing is.
    """

    name: str
    ms: float
    gflops: float
    threads: int | None = None
    peak_gflops: float | None = None
    relative_error: float | None = None
    wrong: str = ""


def layer_of(problem: str) -> tuple[Convolution, Shape]:
    """A layer of course/common/problem.h, and the shape of its input."""
    if problem == "conv3x3":
        return Conv2d(256, 256, 3, padding=1, bias=False), Shape(32, 32, 256)
    padding = ((1, 2), (1, 2))
    return ConvTranspose2d(256, 128, 5, stride=2, padding=padding, bias=False), Shape(8, 8, 256)


def torch_layer(problem: str) -> Callable[[Any, Any], Any]:
    """The same by PyTorch: of an input and a weight as its own layers have them."""
    from torch.nn import functional

    if problem == "conv3x3":
        return partial(functional.conv2d, padding=1)
    # padding 2 and an output more is 1 and 2 rows cut off, with the kernel's rows turned round: as
    # many products, which is all that a clock sees.
    return partial(functional.conv_transpose2d, stride=2, padding=2, output_padding=1)


def cpu_peers(problem: str, seconds: float, threads: int | None = None) -> Iterator[Peer]:
    """facegen and, where it is installed, PyTorch, in turns.

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
    graph = Graph.of_layer("layer", layer, shape)
    gflop = layer.flops(shape) * 1e-9
    for count in sorted({1, processors.count()}) if threads is None else [threads]:
        runs: dict[str, Callable[[], object]] = {}
        for name, algorithm in (("facegen, direct", "direct"), ("facegen", "auto")):
            program = lower(graph, {"layer.weight": weight}, algorithm)
            runner = Runner(program, "cpu", count)
            runs[name] = partial(runner, x, out=runner(x))
        torch_runs = _pytorch(problem, x, weight, count) if find_spec("torch") else {}
        times = in_turns(runs | torch_runs, seconds * (len(runs) + 1), clock=steady_clock(count))
        least = {name: times[name].least for name in runs}
        if torch_runs:  # the faster of its layouts of memory
            least[_torch_name()] = min(times[name].least for name in torch_runs)
        for name, each in least.items():
            yield Peer(name, each * 1e3, gflop / each, count)


def _torch_name() -> str:
    import torch

    return f"PyTorch {torch.__version__.partition('+')[0]}"


def _pytorch(
    problem: str, x: Array, weight: Array, threads: int
) -> dict[str, Callable[[], object]]:
    """A run for each of its two layouts of memory."""
    import torch

    image = torch.from_numpy(x).permute(0, 3, 1, 2)
    kernel = torch.from_numpy(weight).permute(0, 3, 1, 2)
    convolve = torch_layer(problem)

    def run(image: Any, kernel: Any) -> None:
        before = torch.get_num_threads()
        torch.set_num_threads(threads)
        try:
            with torch.inference_mode():
                convolve(image, kernel if problem == "conv3x3" else kernel.transpose(0, 1))
        finally:
            torch.set_num_threads(before)

    return {
        "PyTorch, channels last": partial(run, image, kernel),
        "PyTorch, channels first": partial(run, image.contiguous(), kernel.contiguous()),
    }
