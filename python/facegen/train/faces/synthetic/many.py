"""Many faces on all cores, as they come."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import numpy as np

from facegen.train.faces.synthetic.portrait import SIZE, Portraits, render_labelled

BATCH = 4
"""Faces drawn together: the fields of many more leave a core's cache."""
_TASK = 64
"""Faces sent to a process at a time."""
_ENVIRONMENT = {
    # The processes fill the cores by themselves: their BLAS starts no more threads.
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    # glibc would hand each field back to the system and ask for it anew: 12 ms a face, not 8.5.
    "MALLOC_MMAP_THRESHOLD_": "100000000",
    "MALLOC_TRIM_THRESHOLD_": "100000000",
}
"""Variables of new processes, which read them when they start."""


def render_many(seed: int, count: int, processes: int, side: int = SIZE) -> Iterator[Portraits]:
    """Draw faces 0 .. count - 1 of a seed; the same whatever the number of processes.

    A script that asks for more than one process calls this under ``if __name__ == "__main__"``,
    since new processes import it.

    Yields
    ------
    The next n faces and their labels; n may differ.
    """
    starts = range(0, count, _TASK)
    task = partial(_render_task, seed, count, side)
    if processes == 1 or len(starts) == 1:
        yield from map(task, starts)
        return
    with _environment():
        pool = multiprocessing.get_context("spawn").Pool(min(processes, len(starts)))
    with pool:
        yield from pool.imap(task, starts)


def _render_task(seed: int, count: int, side: int, start: int) -> Portraits:
    """Faces start .. start + _TASK - 1, fewer at the end."""
    stop = min(start + _TASK, count)
    batches = [range(k, min(k + BATCH, stop)) for k in range(start, stop, BATCH)]
    parts = zip(*(render_labelled(seed, indices, side) for indices in batches), strict=True)
    return Portraits(*map(np.concatenate, parts))


@contextmanager
def _environment() -> Iterator[None]:
    """Set the environment of new processes, then put back this one's."""
    before = {name: os.environ.get(name) for name in _ENVIRONMENT}
    os.environ.update(_ENVIRONMENT)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
