"""Many faces on all cores, as they come."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import numpy as np
from numpy.typing import NDArray

from facegen.training.synthetic.portrait import render

BATCH = 4
"""Faces drawn together: the fields of many more leave a core's cache."""
_TASK = 64
"""Faces sent to a process at a time."""
_BLAS_THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")


def render_many(seed: int, count: int, processes: int) -> Iterator[NDArray[np.uint8]]:
    """Draw faces 0 .. count - 1 of a seed; the same whatever the number of processes.

    A script that asks for more than one process calls this under ``if __name__ == "__main__"``,
    since new processes import it.

    Yields
    ------
    uint8 (n, 64, 64, 3), in order; n may differ.
    """
    starts = range(0, count, _TASK)
    task = partial(_render_task, seed, count)
    if processes == 1 or len(starts) == 1:
        yield from map(task, starts)
        return
    with _one_blas_thread():
        pool = multiprocessing.get_context("spawn").Pool(min(processes, len(starts)))
    with pool:
        yield from pool.imap(task, starts)


def _render_task(seed: int, count: int, start: int) -> NDArray[np.uint8]:
    """Faces start .. start + _TASK - 1, fewer at the end."""
    stop = min(start + _TASK, count)
    parts = [render(seed, range(k, min(k + BATCH, stop))) for k in range(start, stop, BATCH)]
    return np.concatenate(parts)


@contextmanager
def _one_blas_thread() -> Iterator[None]:
    """New processes fill the cores by themselves: their BLAS, which reads this, starts no more."""
    before = {name: os.environ.get(name) for name in _BLAS_THREADS}
    os.environ.update({name: "1" for name in _BLAS_THREADS})
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
