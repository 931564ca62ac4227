"""Requests that come one by one, computed in batches: for web services (docs/serving.md)."""

from __future__ import annotations

import asyncio
import atexit
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

import numpy as np

from facegen import system
from facegen.errors import BatcherClosed, DeviceFailure, FormatError, QueueFull, first_line
from facegen.pipeline import starting_threads


@dataclass(frozen=True)
class _Request:
    item: Any
    future: Future[Any]
    due: float  # when its batch is computed at the latest, full or not


class Batcher:
    """Collects single requests of asyncio tasks and of threads, and computes them in batches.

    One thread computes, a batch at a time; it starts with the first request. Requests that come
    meanwhile are the next batch, so that batches grow with the load by themselves. A result is that
    of a call with the item alone; models of this package give the very bits.

    Parameters
    ----------
    call
        A model of this package, one of its methods, or any function from a batch to the results of
        its items: an array or a sequence of one each, or a named tuple of such (as
        `facegen.DigitClassifier` returns), of which each item gets a named tuple of its own.
    max_batch
        How many items one call gets at most.
    max_wait
        Seconds that the first item of a batch waits for others. By default none: a batch is what
        came while the one before it was computed, and a lone request is computed at once.
    max_queue
        How many items wait at most, beside those that are computed.
    stack
        Whether arrays are given to `call` as one array with a batch axis; those of another shape or
        type get a call of their own. Other items are given as a list, as all are without `stack`.

    Raises
    ------
    ValueError
        `max_batch` is below 1, `max_queue` below `max_batch`, or `max_wait` negative or endless.

    Notes
    -----
    Where the call of a batch raises, its items are tried one by one, so that a bad one fails alone.
    A `facegen.errors.DeviceFailure` goes to all of them at once.

    A child that is forked has a batcher of its own, with nothing waiting, which starts its thread
    anew; what waited at the fork is answered in the parent alone.

    A batcher that is not closed is closed at the interpreter's exit: the call under way is waited
    for, what waits is refused.

    Examples
    --------
    >>> with Batcher(facegen.Generator(), max_batch=32) as batcher:
    ...     futures = [batcher.submit(latent) for latent in np.zeros((3, 100), np.float32)]
    ...     futures[0].result().shape
    (64, 64, 3)

    In a coroutine, ``face = await batcher(latent)``.
    """

    def __init__(
        self,
        call: Callable[[Any], Any],
        *,
        max_batch: int = 16,
        max_wait: float = 0.0,
        max_queue: int = 1024,
        stack: bool = True,
    ) -> None:
        if max_batch < 1:
            raise ValueError(f"max_batch must be at least 1, not {max_batch}")
        if not 0 <= max_wait <= threading.TIMEOUT_MAX:
            raise ValueError(f"max_wait must be a number of seconds from 0, not {max_wait}")
        if max_queue < max_batch:
            raise ValueError(f"max_queue must be max_batch ({max_batch}) or more, not {max_queue}")
        self._call = call
        self._max_batch, self._max_wait, self._max_queue = max_batch, max_wait, max_queue
        self._stack = stack
        self._closed = False
        self._begin()
        _BATCHERS.add(self)

    def _begin(self) -> None:
        """Nothing waits, and there is no thread: at first, and in a child that was forked."""
        self._changed = threading.Condition()
        self._waiting: deque[_Request] = deque()
        self._thread: threading.Thread | None = None

    def submit(self, item: Any) -> Future[Any]:
        """Have an item computed with others; returns at once.

        Parameters
        ----------
        item
            What `call` takes, without the batch axis. It must not change until the result is there.

        Returns
        -------
        concurrent.futures.Future
            Of the result. A future that is cancelled before its batch is begun leaves the queue.

        Raises
        ------
        QueueFull
            As many as `max_queue` wait already.
        BatcherClosed
            The batcher is closed.
        DeviceFailure
            The system starts no more threads.
        """
        request = _Request(item, Future(), time.monotonic() + self._max_wait)
        with self._changed:
            if self._closed:
                raise BatcherClosed("the batcher is closed")
            if len(self._waiting) >= self._max_queue:
                raise QueueFull(f"{self._max_queue:,} requests wait already; try again later")
            if self._thread is None:
                self._start()
            self._waiting.append(request)
            if len(self._waiting) in (1, self._max_batch):  # others change nothing for the thread
                self._changed.notify()
        request.future.add_done_callback(self._leave)
        return request.future

    async def __call__(self, item: Any) -> Any:
        """The result of an item that is computed with others; takes and raises as `submit`."""
        return await asyncio.wrap_future(self.submit(item))

    def close(self, *, finish: bool = True) -> None:
        """Take no more requests, and wait until the thread has ended.

        Parameters
        ----------
        finish
            Whether what waits is computed; else it fails with BatcherClosed. The batch under way is
            computed in any case.
        """
        refused: list[_Request] = []
        with self._changed:
            self._closed = True
            if not finish:
                refused = self._take_out(len(self._waiting))
            self._changed.notify()
        _fail(refused, BatcherClosed("the batcher was closed before this request's turn"))
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()
        atexit.unregister(self._close_at_exit)

    async def aclose(self, *, finish: bool = True) -> None:
        """`close` in a coroutine, while the event loop goes on."""
        await asyncio.to_thread(self.close, finish=finish)

    def __enter__(self) -> Batcher:
        return self

    def __exit__(self, kind: object, *details: object) -> None:
        """Close; what waits is refused where the body has raised."""
        self.close(finish=kind is None)

    async def __aenter__(self) -> Batcher:
        return self

    async def __aexit__(self, kind: object, *details: object) -> None:
        """The same, while the event loop goes on."""
        await self.aclose(finish=kind is None)

    def _start(self) -> None:
        # A daemon, which an exit of the interpreter does not wait for before it has told it to end.
        thread = threading.Thread(target=self._run, name="facegen-batcher", daemon=True)
        with starting_threads():
            thread.start()
        self._thread = thread
        atexit.register(self._close_at_exit)

    def _close_at_exit(self) -> None:
        self.close(finish=False)

    def _leave(self, future: Future[Any]) -> None:
        """Make room where a request is cancelled that waits; when done, it does so no more."""
        if future.cancelled():
            with self._changed:
                others = [request for request in self._waiting if request.future is not future]
                if len(others) < len(self._waiting):
                    self._waiting = deque(others)
                    future.set_running_or_notify_cancel()  # concurrent.futures.wait waits for this

    def _run(self) -> None:
        while self._next():
            pass

    def _next(self) -> bool:
        """Compute a batch; False where there will be none. A thread that waits holds no items."""
        batch = self._collect()
        if batch is None:
            return False
        kinds: dict[Hashable, list[_Request]] = {}
        for request in batch:
            kinds.setdefault(self._kind(request.item), []).append(request)
        for requests in kinds.values():
            self._compute(requests)
        return True

    def _collect(self) -> list[_Request] | None:
        """Wait for the next batch; None where the batcher is closed and nothing waits."""
        with self._changed:
            while len(self._waiting) < self._max_batch and not self._closed:
                seconds = self._waiting[0].due - time.monotonic() if self._waiting else None
                if seconds is not None and seconds <= 0:
                    break
                self._changed.wait(seconds)
            if not self._waiting:
                return None
            return self._take_out(self._max_batch)

    def _take_out(self, most: int) -> list[_Request]:
        """The first that wait; from here on they cannot be cancelled."""
        taken = [self._waiting.popleft() for _ in range(min(most, len(self._waiting)))]
        return [request for request in taken if request.future.set_running_or_notify_cancel()]

    def _kind(self, item: Any) -> Hashable:
        """What items of one call have in common; None of those that are given as a list."""
        return (item.shape, item.dtype) if self._stack and isinstance(item, np.ndarray) else None

    def _compute(self, requests: list[_Request]) -> None:
        """Call once, or where that fails once an item, and answer."""
        items = [request.item for request in requests]
        try:
            results = self._call(items if self._kind(items[0]) is None else np.stack(items))
        except BaseException as error:  # whatever it is, it must not end the thread
            if len(requests) == 1 or isinstance(error, DeviceFailure):
                _fail(requests, error)
            else:
                for request in requests:
                    self._compute([request])
            return
        try:
            answers = _split(results, len(requests))
        except Exception as error:
            what = f"expected a result for each of {len(requests)} items: {first_line(error)}"
            _fail(requests, FormatError(what))
        else:
            for request, answer in zip(requests, answers, strict=True):
                request.future.set_result(answer)


def _split(results: Any, count: int) -> Sequence[Any]:
    """The result of each item; arrays are copied, so that none keeps those of others alive."""
    if isinstance(results, tuple) and hasattr(results, "_fields"):
        columns = [_split(column, count) for column in results]
        return [type(results)(*row) for row in zip(*columns, strict=True)]
    if len(results) != count:
        raise ValueError(f"found {len(results)}")
    answers = [results[i] for i in range(count)]
    return [each.copy() if isinstance(each, np.ndarray) else each for each in answers]


def _fail(requests: list[_Request], error: BaseException) -> None:
    """Each gets an exception of its own: raised in many tasks, one would collect their frames."""
    for request in requests:
        own = error
        if len(requests) > 1:
            own = type(error)(*error.args).with_traceback(error.__traceback__)
        elif isinstance(error, StopIteration):
            own = RuntimeError("the batcher's call raised StopIteration")  # asyncio takes none
        request.future.set_exception(own)


_BATCHERS: weakref.WeakSet[Batcher] = weakref.WeakSet()


def _begin_all_anew() -> None:
    for batcher in _BATCHERS:
        batcher._begin()


system.after_fork_in_child(_begin_all_anew)
