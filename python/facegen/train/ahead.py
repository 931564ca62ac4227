"""Batches that are read while the step before them runs."""

from __future__ import annotations

import multiprocessing
import signal
from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Any, TypeVar

from facegen import processors, system
from facegen.engine.device import CPU
from facegen.errors import FacegenError
from facegen.pipeline import starting_threads

AHEAD = 4  # batches that are read before they are needed, at least
_SHARE = 8  # what is read ahead for a GPU takes at most an eighth of the memory

Item = TypeVar("Item")


def batches_ahead(device: str, threads: int | None, batch_floats: int) -> int:
    """How many batches of so many numbers are read ahead of a step on a device.

    Each is read by one thread; a GPU leaves all threads of the host free for that (None: one a
    processor). Segmentation of all layers was three times as fast by 16 of them as by 2.
    """
    if device == CPU:
        return AHEAD
    memory = system.memory_bytes()
    most = processors.count() if threads is None else threads
    if memory is not None:
        most = min(most, memory // (_SHARE * 4 * batch_floats))
    return max(AHEAD, most)


def read_ahead(
    read: Callable[[int], Item],
    steps: range,
    ahead: int = AHEAD,
    workers: int = 2,
    processes: bool = False,
) -> Generator[Item, None, None]:
    """``map(read, steps)``, at most `ahead` of them before they are asked for.

    Parameters
    ----------
    read
        Gives the batch of a step, and the same for the same step.
    workers
        Threads that read, or processes where `processes` is set: `read` and what it gives are then
        pickled. Decoders and NumPy's larger operations leave other threads running.

    Raises
    ------
    FacegenError
        A process ended before its time. What `read` raises is raised here, in order.
    """
    workers = max(1, min(workers, ahead, len(steps)))
    with _pool(read, workers, processes) as (pool, task):
        waiting: deque[Future[Item]] = deque()
        try:
            for step in steps:
                waiting.append(pool.submit(task, step))
                if len(waiting) >= ahead:
                    yield _result(waiting.popleft())
            while waiting:
                yield _result(waiting.popleft())
        finally:
            for future in waiting:
                future.cancel()


@contextmanager
def _pool(
    read: Callable[[int], Item], workers: int, processes: bool
) -> Iterator[tuple[Executor, Callable[[int], Item]]]:
    if not processes:
        with starting_threads(), ThreadPoolExecutor(workers, "facegen-read") as pool:
            yield pool, read
        return
    # Not forked: this process has threads, of the engine's too.
    spawning = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, spawning, _begin, (read,)) as pool:
        yield pool, _read_here


def _result(future: Future[Item]) -> Item:
    try:
        return future.result()
    except BrokenProcessPool:
        raise FacegenError("a process that reads pictures ended before its time") from None


_read: Callable[[int], Any]


def _begin(read: Callable[[int], Any]) -> None:
    """A process starts: Ctrl-C is for the one that waits for it."""
    global _read
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _read = read


def _read_here(step: int) -> Any:
    return _read(step)
