"""Products of matrices: the package's own beside NumPy's."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from facegen.engine import Runner
from facegen.engine.memory import check_memory
from facegen.errors import FacegenError
from facegen.kernels.matrices import MATMUL_ALGORITHMS, matmul
from facegen.lab.machine import fma_peak
from facegen.lab.timing import Clock, Times, in_turns
from facegen.nn import Graph, Linear, Shape, lower

Product = Callable[[], NDArray[np.float32]]
_VERIFIED_ROWS = 64
NAIVE_GFLOP = 0.5  # what the three loops do in some half a second; of more they are left out


@dataclass(frozen=True)
class Size:
    """a (m, k) times b (k, n)."""

    m: int
    n: int
    k: int

    def __str__(self) -> str:
        return f"{self.m}x{self.n}x{self.k}"

    @property
    def gflop(self) -> float:
        return 2 * self.m * self.n * self.k / 1e9

    @property
    def bytes(self) -> int:
        """Of the three matrices."""
        return 4 * (self.m * self.k + self.k * self.n + self.m * self.n)


@dataclass(frozen=True)
class Result:
    """One way to multiply, at one size."""

    way: str
    times: Times
    gflops: float
    peak_share: float
    error: float  # largest against float64, by the largest number of the product


@dataclass(frozen=True)
class Measured:
    size: Size
    peak_gflops: float
    results: tuple[Result, ...]


def check(sizes: Sequence[Size]) -> None:
    """Refuse sizes that can never fit: OutOfMemory, before anything is taken."""
    for size in sizes:
        check_memory(4 * size.bytes, f"a product of {size}")


def measure(size: Size, threads: int, seconds: float, clock: Clock = time.perf_counter) -> Measured:
    """All ways to multiply matrices of a size, in turns.

    Raises
    ------
    FacegenError
        A size is too large for a map of the engine.
    """
    random = np.random.default_rng(0)
    a = random.standard_normal((size.m, size.k), np.float32)
    b = random.standard_normal((size.k, size.n), np.float32)
    ways = products(a, b, threads)
    rows = min(_VERIFIED_ROWS, size.m)
    expected = a[:rows].astype(np.float64) @ b.astype(np.float64)
    errors = {
        name: float(np.abs(run()[:rows] - expected).max() / np.abs(expected).max())
        for name, run in ways.items()
    }
    before = fma_peak(threads, clock)
    times = in_turns(ways, seconds, clock=clock)
    peak = max(before, fma_peak(threads, clock))
    return Measured(
        size,
        peak,
        tuple(
            Result(
                name,
                found,
                size.gflop / found.median,
                size.gflop / found.median / peak,
                errors[name],
            )
            for name, found in times.items()
        ),
    )


def products(a: NDArray[np.float32], b: NDArray[np.float32], threads: int) -> dict[str, Product]:
    """Ways to compute a (m, k) times b (k, n), by name."""
    m, k = a.shape
    n = b.shape[1]
    try:
        graph = Graph.of_layer("gemm", Linear(k, n, bias=False), Shape(m, 1, k))
    except ValueError as error:
        raise FacegenError(str(error)) from None
    program = lower(graph, {"layer.weight": np.ascontiguousarray(b.T)})
    runner = Runner(program, "cpu", threads)  # which packs b, once
    image = a.reshape(1, m, 1, k)
    ours, out = np.empty((1, m, 1, n), np.float32), np.empty((m, n), np.float32)
    named = {
        f"matmul {algorithm}": partial(matmul, a, b, algorithm=algorithm, threads=threads)
        for algorithm in MATMUL_ALGORITHMS
        if algorithm != "auto" and (algorithm != "naive" or 2e-9 * m * n * k <= NAIVE_GFLOP)
    }
    return {
        **named,
        "linear layer": lambda: runner(image, out=ours).reshape(m, n),
        "NumPy": lambda: np.matmul(a, b, out=out),
    }
