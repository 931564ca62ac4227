"""The machine at hand: its name, and how much it can compute and move, as measured right now."""

from __future__ import annotations

import datetime
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

import facegen
from facegen import _native, system
from facegen.lab.timing import Clock

# Each of the two arrays of a copy: beyond the last-level cache of most machines.
COPIED_BYTES = 64 << 20


def describe(threads: int) -> dict[str, Any]:
    """What measurements are read with: processor, instruction set, threads, versions, date."""
    return {
        "processor": system.processor_name(),
        "processors": len(system.processors()),
        "isa": _native.choose_isa(),
        "threads": threads,
        "facegen": facegen.__version__,
        "numpy": np.__version__,
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
    }


def fma_peak(threads: int, clock: Clock = time.perf_counter, seconds: float = 0.03) -> float:
    """GFLOP/s of independent multiply-adds in registers: nothing computes float32 faster."""
    wall, begin = time.perf_counter(), clock()
    rate = _native.measure_fma_peak(threads, seconds)
    return rate * (time.perf_counter() - wall) / max(clock() - begin, 1e-9)


def copy_rate(
    threads: int,
    clock: Clock = time.perf_counter,
    copied_bytes: int = COPIED_BYTES,
    repeats: int = 5,
) -> float:
    """GB/s that a copy from memory to memory reads and writes, the best of several.

    Each thread copies a part of its own.
    """
    there = np.ones(copied_bytes // 4, np.float32)
    copy = np.zeros_like(there)
    parts = list(zip(np.array_split(copy, threads), np.array_split(there, threads), strict=True))

    def one(part: tuple[np.ndarray, np.ndarray]) -> None:
        np.copyto(*part)

    best = float("inf")
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(repeats):
            begin = clock()
            for _done in pool.map(one, parts):
                pass
            best = min(best, clock() - begin)
    return 2 * there.nbytes / best / 1e9
