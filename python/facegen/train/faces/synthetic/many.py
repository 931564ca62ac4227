"""Many faces on all cores, as they come; and what else is drawn of them."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TypeVar

import numpy as np

from facegen.train.faces.synthetic.portrait import SIZE, Portraits, render_labelled

Made = TypeVar("Made")

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
    """Draw faces 0 .. count - 1 of a seed: what `on_processes` says of processes holds.

    Yields
    ------
    The next n faces and their labels; n may differ.
    """
    return on_processes(partial(_render_task, seed, side), count, processes)


def on_processes(
    task: Callable[[range], Made], count: int, processes: int, at_a_time: int = _TASK
) -> Iterator[Made]:
    """What a task makes of people 0 .. count - 1, in order; the same by any number of processes.

    A script that asks for more than one process calls this under ``if __name__ == "__main__"``,
    since new processes import it.

    Parameters
    ----------
    task
        Takes numbers of people, `at_a_time` or fewer; a function of a module, or a part of one.
    """
    parts = [range(k, min(k + at_a_time, count)) for k in range(0, count, at_a_time)]
    if processes == 1 or len(parts) == 1:
        yield from map(task, parts)
        return
    with _environment():
        pool = multiprocessing.get_context("spawn").Pool(min(processes, len(parts)))
    with pool:
        yield from pool.imap(task, parts)


def batches(people: range) -> Iterator[range]:
    """As many at a time as are drawn together."""
    for start in range(people.start, people.stop, BATCH):
        yield range(start, min(start + BATCH, people.stop))


def _render_task(seed: int, side: int, people: range) -> Portraits:
    drawn = (render_labelled(seed, some, side) for some in batches(people))
    return Portraits(*map(np.concatenate, zip(*drawn, strict=True)))


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
