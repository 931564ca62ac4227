"""One convolution by every algorithm that takes it: time, memory, error, and share of the peak.

Two rates tell two stories. GFLOP/s of the definition says how soon the result is there; GFLOP/s
done says how busy the multipliers were. An algorithm of fewer multiplications can be first with
lazy multipliers, and can be above the machine's peak by the definition, never by what was done.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from facegen.cached import cached_property
from facegen.engine import Runner
from facegen.engine.memory import check_memory
from facegen.errors import FacegenError, OutOfMemory
from facegen.kernels.algorithms import ALGORITHMS, Algorithm
from facegen.lab.machine import fma_peak
from facegen.lab.timing import Clock, Times, in_turns
from facegen.nn import Conv2d, ConvTranspose2d, Graph, Program, Shape, lower
from facegen.nn.window import Padding

# What is thought to take longer than this at once is not run.
MOST_SECONDS = 20.0
Array = NDArray[np.float32]


@dataclass(frozen=True)
class Case:
    """A convolution over a batch of maps; padding None keeps the map's size at stride 1."""

    height: int
    width: int
    in_channels: int
    out_channels: int
    kernel: int
    stride: int = 1
    padding: int | None = None
    batch: int = 1

    def __str__(self) -> str:
        stride = f"/{self.stride}" if self.stride > 1 else ""
        images = f", {self.batch} images" if self.batch > 1 else ""
        channels = f"{self.in_channels}>{self.out_channels}"
        return f"{self.height}x{self.width} {channels} {self.kernel}x{self.kernel}{stride}{images}"

    @property
    def x(self) -> Shape:
        return Shape(self.height, self.width, self.in_channels)

    @cached_property
    def layer(self) -> Conv2d:
        """The layer, without bias; FacegenError where there is none such."""
        front, back = (self.kernel - 1) // 2, self.kernel // 2
        same: Padding = ((front, back), (front, back))
        padding = same if self.padding is None else self.padding
        try:
            layer = Conv2d(
                self.in_channels, self.out_channels, self.kernel, self.stride, padding, bias=False
            )
            layer.output_shape(self.x)
            self.graph_of(layer)
            if layer.flops(self.x) == 0:
                raise ValueError("every window lies on the padding: there is nothing to measure")
        except ValueError as error:
            raise FacegenError(f"{self}: {error}") from None
        return layer

    def graph_of(self, layer: Conv2d) -> Graph:
        return Graph.of_layer(str(self), layer, self.x)

    @property
    def gflop(self) -> float:
        """Of the batch, by the definition: two a multiply-add, padding left out."""
        return self.batch * self.layer.flops(self.x) / 1e9

    @property
    def moved_bytes(self) -> int:
        """Of input, weights and output, each once: no algorithm moves less."""
        y = self.layer.output_shape(self.x)
        weights = int(np.prod(self.layer.weight_shape))
        return 4 * (self.batch * (self.x.floats + y.floats) + weights)

    @property
    def intensity(self) -> float:
        """Operations of the definition by a byte that must be moved."""
        return 1e9 * self.gflop / self.moved_bytes


@dataclass(frozen=True)
class Result:
    """What one algorithm did, or why it did not.

    Attributes
    ----------
    gflops
        By the definition.
    done_gflops
        By the multiplications that were done, with as many additions.
    peak_share
        Of `done_gflops`.
    scratch_bytes, weight_bytes
        Memory beside input and output of one image, on one thread; of the weights as it keeps them.
    error
        Largest against float64, by the largest number of the output.
    of_tolerance
        The largest error by what the algorithm's own bound allows there: up to 1.
    """

    algorithm: str
    why_not: str | None = None
    times: Times | None = None
    gflops: float = 0.0
    done_gflops: float = 0.0
    peak_share: float = 0.0
    multiplications: float = 0.0
    scratch_bytes: int = 0
    weight_bytes: int = 0
    error: float = 0.0
    of_tolerance: float = 0.0


@dataclass(frozen=True)
class Measured:
    """A case by all algorithms, in their order."""

    case: Case
    peak_gflops: float
    results: tuple[Result, ...]

    @property
    def winner(self) -> Result | None:
        """Of the least median; None where no algorithm took the case."""
        run = [result for result in self.results if result.times is not None]
        return min(run, key=lambda result: result.times.median if result.times else 0, default=None)


def check(cases: Sequence[Case]) -> None:
    """Refuse, before memory is taken, layers that do not fit together or into this machine.

    Raises
    ------
    FacegenError
        A window does not fit into its map, or numbers are absurd.
    OutOfMemory
        A case takes more than the machine has.
    """
    for case in cases:
        # The arrays, and float64 copies of one image's that the reference works on.
        check_memory(2 * case.moved_bytes + 6 * case.moved_bytes // case.batch, str(case))


def measure(
    case: Case,
    threads: int,
    seconds: float,
    clock: Clock = time.perf_counter,
    algorithms: Sequence[Algorithm] = ALGORITHMS,
) -> Measured:
    """A case by algorithms, verified and then measured in turns.

    Parameters
    ----------
    seconds
        About how long the measuring may take, of all algorithms together.
    algorithms
        Those that do not take the case, and those that would take longer than `MOST_SECONDS`, are
        in the result with the reason.
    """
    random = np.random.default_rng(0)
    layer = case.layer
    x = random.standard_normal((case.batch, *case.x), np.float32)
    weight = random.standard_normal(layer.weight_shape, np.float32)
    exact = reference(layer, x[:1], weight)
    magnitude = reference(layer, np.abs(x[:1]), np.abs(weight))
    refused: dict[str, str] = {}
    runners: dict[str, Runner] = {}
    errors: dict[str, tuple[float, float]] = {}
    for algorithm in algorithms:
        reason = (
            algorithm.why_not(layer, case.x)
            or _too_large(case, algorithm, threads)
            or _too_long(case, algorithm, threads)
        )
        if reason is not None:
            refused[algorithm.name] = reason
            continue
        runner = Runner(_lowered(case, layer, weight, algorithm), "cpu", threads)
        off = np.abs(np.asarray(runner(x[:1])) - exact)
        bound = algorithm.tolerance(layer, magnitude)
        share = float(np.max(off / np.maximum(bound, np.finfo(np.float32).tiny)))
        errors[algorithm.name] = float(off.max() / max(np.abs(exact).max(), 1e-30)), share
        runners[algorithm.name] = runner
    before = fma_peak(threads, clock)
    times = in_turns({n: partial(run, x) for n, run in runners.items()}, seconds, clock=clock)
    peak = max(before, fma_peak(threads, clock))
    results = []
    for algorithm in algorithms:
        if algorithm.name in refused:
            results.append(Result(algorithm.name, refused[algorithm.name]))
            continue
        found = times[algorithm.name]
        products = case.batch * algorithm.multiplications(layer, case.x)
        done = 2e-9 * products / found.median
        results.append(
            Result(
                algorithm.name,
                None,
                found,
                case.gflop / found.median,
                done,
                done / peak,
                products,
                algorithm.scratch_bytes(layer, case.x),
                algorithm.weight_bytes(layer, case.x),
                *errors[algorithm.name],
            )
        )
    return Measured(case, peak, tuple(results))


def reference(
    layer: Conv2d | ConvTranspose2d, x: NDArray[np.floating], weight: NDArray[np.floating]
) -> NDArray[np.float64]:
    """The definition in float64, a tap of the window at a time.

    Parameters
    ----------
    x : (n, h, w, in)
    weight : (out, kernel, kernel, in)

    Returns
    -------
    (n, h', w', out), float64
    """
    if isinstance(layer, ConvTranspose2d):
        return _transposed(layer, x, weight)
    vertical, horizontal = layer.axes
    pads = [(axis.pad_front, axis.pad_back) for axis in layer.axes]
    padded = np.pad(x.astype(np.float64), [(0, 0), *pads, (0, 0)])
    height, width, out = layer.output_shape(Shape(*x.shape[1:]))
    y = np.zeros((len(x), height, width, out))
    for ty in range(vertical.kernel):
        rows = slice(ty, ty + (height - 1) * vertical.stride + 1, vertical.stride)
        for tx in range(horizontal.kernel):
            columns = slice(tx, tx + (width - 1) * horizontal.stride + 1, horizontal.stride)
            y += padded[:, rows, columns] @ weight[:, ty, tx].astype(np.float64).T
    return y


def _transposed(
    layer: ConvTranspose2d, x: NDArray[np.floating], weight: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Input i goes to outputs i * stride + tap; the padding is then cut off."""
    vertical, horizontal = layer.axes
    n, h, w, _ = x.shape
    height, width, out = layer.output_shape(Shape(*x.shape[1:]))
    top, left = vertical.pad_front, horizontal.pad_front
    full = np.zeros((n, height + top + vertical.pad_back, width + left + horizontal.pad_back, out))
    for ty in range(vertical.kernel):
        rows = slice(ty, ty + (h - 1) * vertical.stride + 1, vertical.stride)
        for tx in range(horizontal.kernel):
            columns = slice(tx, tx + (w - 1) * horizontal.stride + 1, horizontal.stride)
            full[:, rows, columns] += x.astype(np.float64) @ weight[:, ty, tx].astype(np.float64).T
    return full[:, top : top + height, left : left + width]


def _lowered(case: Case, layer: Conv2d, weight: Array, algorithm: Algorithm) -> Program:
    return lower(case.graph_of(layer), {"layer.weight": weight}, algorithm.name)


def _too_large(case: Case, algorithm: Algorithm, threads: int) -> str | None:
    """Why an algorithm's scratch memory cannot be had; None where it can."""
    try:
        check_memory(threads * algorithm.scratch_bytes(case.layer, case.x), "its scratch memory")
    except OutOfMemory as error:
        return str(error)
    return None


def _too_long(case: Case, algorithm: Algorithm, threads: int) -> str | None:
    """Why an algorithm is not run, by how long a few rows of the map take; None where it is.

    Only the loops of the definition are so slow.
    """
    if algorithm.name != "naive":
        return None
    rows = min(case.height, 2 * case.kernel + case.stride)  # with a window that is all inside
    few = Case(rows, case.width, case.in_channels, case.out_channels, case.kernel, case.stride,
               case.padding)  # fmt: skip
    weight = np.ones(few.layer.weight_shape, np.float32)
    runner = Runner(_lowered(few, few.layer, weight, algorithm), "cpu", threads)
    begin = time.perf_counter()
    runner(np.ones((1, *few.x), np.float32))
    seconds = (time.perf_counter() - begin) * case.gflop / few.gflop
    return f"about {seconds:,.0f} s: not run" if seconds > MOST_SECONDS else None
