"""The chunks of a run: waiting, handed out, done; and their order."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any


class Board:
    """What the threads of rank 0 share.

    One reads and calls `offer`, one for each rank calls `take` and `put` (or `give_back`, where the
    rank died), one writes what `results` gives, in the order of `offer`.

    Parameters
    ----------
    window
        Most chunks that are read and not yet written.
    """

    def __init__(self, window: int) -> None:
        self._window = window
        self._waiting: deque[tuple[int, Any]] = deque()
        self._done: dict[int, Any] = {}
        self._read = self._finished = self._written = 0
        self._ended = self._stopped = False
        self._changed = threading.Condition()

    def offer(self, chunk: Any) -> bool:
        """Add a chunk, waiting for room; False where the board was stopped."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._stopped or self._read - self._written < self._window
            )
            self._waiting.append((self._read, chunk))
            self._read += 1
            self._changed.notify_all()
            return not self._stopped

    def end(self) -> None:
        """No more chunks follow."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def stop(self) -> None:
        """Nobody waits any more."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def take(self, wait: bool) -> tuple[int, Any] | None:
        """A chunk and its number; None where there is none now, or (having waited) none any more.

        Whoever waits does so until the last chunk is done: a rank that dies gives chunks back.
        """
        with self._changed:
            if wait:
                self._changed.wait_for(
                    lambda: self._stopped or self._waiting or (self._ended and self._all_done())
                )
            if self._stopped or not self._waiting:
                return None
            return self._waiting.popleft()

    def give_back(self, chunks: Iterable[tuple[int, Any]]) -> None:
        """Chunks that were taken and will not be done; they go first."""
        with self._changed:
            self._waiting.extendleft(sorted(chunks, key=lambda chunk: -chunk[0]))
            self._changed.notify_all()

    def put(self, number: int, result: Any) -> None:
        """A chunk is done."""
        with self._changed:
            self._done[number] = result
            self._finished += 1
            self._changed.notify_all()

    def results(self) -> Iterator[Any]:
        """What `put` was given, in the order of `offer`, as it comes."""
        while True:
            with self._changed:
                self._changed.wait_for(
                    lambda: self._stopped
                    or self._written in self._done
                    or (self._ended and self._all_done())
                )
                if self._stopped or self._written not in self._done:
                    return
                result = self._done.pop(self._written)
            yield result
            with self._changed:
                self._written += 1
                self._changed.notify_all()

    def _all_done(self) -> bool:
        return self._finished == self._read
