"""Read, compute and write at once: three threads with bounded queues between them."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Generic, TypeVar

from facegen.errors import DeviceFailure

Input = TypeVar("Input")
Output = TypeVar("Output")
Item = TypeVar("Item")

# How long an interrupted pipeline waits for its reader, which may sit in a read from a terminal.
_READER_GRACE_SECONDS = 0.5


class _Channel(Generic[Item]):
    """A bounded queue that its producer ends and that either side may stop at once."""

    def __init__(self, depth: int) -> None:
        self._depth = depth
        self._items: deque[Item] = deque()
        self._changed = threading.Condition()
        self._ended = False
        self._stopped = False

    def put(self, item: Item) -> bool:
        """Wait for room; False where the channel was stopped meanwhile."""
        with self._changed:
            self._changed.wait_for(lambda: self._stopped or len(self._items) < self._depth)
            if not self._stopped:
                self._items.append(item)
                self._changed.notify_all()
            return not self._stopped

    def end(self) -> None:
        """No more items follow; those in the queue are still delivered."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def stop(self) -> None:
        """Nobody puts or gets any more; what is in the queue is dropped."""
        with self._changed:
            self._stopped = True
            self._items.clear()
            self._changed.notify_all()

    def __iter__(self) -> Iterator[Item]:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._stopped or self._ended or self._items)
                if not self._items:
                    return
                item = self._items.popleft()
                self._changed.notify_all()
            yield item


def run_pipeline(
    source: Iterable[Input],
    compute: Callable[[Input], Output],
    sink: Callable[[Output], None],
    depth: int = 2,
) -> None:
    """``for item in source: sink(compute(item))``, the three overlapping.

    Each of the three runs in a thread of its own; order is kept, and at most `depth` items wait
    between two of them. Exceptions and signals are as for `run_together`.
    """
    to_compute: _Channel[Input] = _Channel(depth)
    to_sink: _Channel[Output] = _Channel(depth)

    def stop() -> None:
        to_compute.stop()
        to_sink.stop()

    def read() -> None:
        for item in source:
            if not to_compute.put(item):
                return
        to_compute.end()

    def work() -> None:
        for item in to_compute:
            if not to_sink.put(compute(item)):
                return
        to_sink.end()

    def write() -> None:
        for item in to_sink:
            sink(item)

    run_together([work, write], hanging=read, stop=stop)


def _nothing() -> None:
    pass


def run_together(
    bodies: Sequence[Callable[[], None]],
    *,
    stop: Callable[[], None],
    hanging: Callable[[], None] = _nothing,
) -> None:
    """Run functions in a thread each, until all have returned.

    The first exception of any of them calls `stop`, which must let the others return, and is
    raised here. `hanging` is one more that need not heed it: it may sit in a read. The caller only
    waits, so that a signal reaches it at once.
    """
    errors: list[BaseException] = []
    reader = _Worker(hanging, errors, stop)
    workers = [_Worker(body, errors, stop) for body in bodies]
    try:
        for thread in (reader, *workers):
            thread.start()
        for thread in workers:
            thread.wait()
        reader.wait(_READER_GRACE_SECONDS)  # it may hang in its source where another failed
    except BaseException:
        stop()
        for thread in (*workers, reader):
            if thread.begun:
                thread.wait(_READER_GRACE_SECONDS if thread is reader else math.inf)
        raise
    if errors:
        raise errors[0]


@contextmanager
def starting_threads() -> Iterator[None]:
    """Raise DeviceFailure where Python cannot start a thread that the body asks for."""
    try:
        yield
    except RuntimeError as error:
        if "start new thread" not in str(error):
            raise
        raise DeviceFailure(
            "the system starts no more threads for this process (ulimit -u, or the limit of tasks "
            "of its control group)"
        ) from None


class _Worker(threading.Thread):
    """A thread that hands its exception over, and that knows whether it has begun and ended.

    Up to Python 3.12 signals break two ways for the caller to wait: a `Thread.join` that is
    interrupted takes the thread for dead from then on, and a `SimpleQueue.get` with a timeout may
    miss it and wait for ever. `Lock.acquire` keeps its timeout.
    """

    def __init__(
        self, body: Callable[[], None], errors: list[BaseException], stop: Callable[[], None]
    ) -> None:
        super().__init__(name=f"facegen-{body.__name__}", daemon=True)
        self._body, self._errors, self._stop_all = body, errors, stop
        self.begun = self.ended = False
        self._running = threading.Lock()
        self._running.acquire()

    def start(self) -> None:
        with starting_threads():
            super().start()

    def run(self) -> None:
        self.begun = True
        try:
            self._body()
        except BaseException as error:
            self._errors.append(error)
            self._stop_all()
        finally:
            self.ended = True
            self._running.release()

    def wait(self, seconds: float = math.inf) -> None:
        """Wait until the thread has ended, or for so long."""
        deadline = time.monotonic() + seconds
        while not self.ended and time.monotonic() < deadline:
            self._running.acquire(timeout=0.1)  # so much is lost where a signal comes with the end
        if self.ended:
            self.join()
