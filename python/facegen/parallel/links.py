"""What connects rank 0 with another rank: pickled messages, in order, over MPI or a socket.

A message may hold arrays: they travel beside the pickle, not through it (protocol 5).
"""

from __future__ import annotations

import pickle
import struct
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from typing import Any, Protocol

import numpy as np


class LinkLost(Exception):
    """The other side is gone."""


class Link(Protocol):
    """One end of a connection; each of the two methods is called by one thread at a time."""

    def send(self, message: Any) -> None: ...

    def receive(self) -> tuple[Any, float]:
        """The next message, and the seconds that it took once it had begun to arrive."""


class SocketLink:
    """A link over a connected stream socket, whose descriptor it takes over.

    A message is the number of its parts and their sizes, 8 bytes each, then the parts: the pickle
    and its arrays.
    """

    def __init__(self, descriptor: int) -> None:
        import socket  # which a process that is by itself never needs

        self._socket = socket.socket(fileno=descriptor)

    def send(self, message: Any) -> None:
        buffers: list[pickle.PickleBuffer] = []
        data = pickle.dumps(message, 5, buffer_callback=buffers.append)
        parts = [memoryview(data), *(buffer.raw() for buffer in buffers)]
        sizes = [part.nbytes for part in parts]
        try:
            self._socket.sendall(struct.pack(f"<{1 + len(parts)}Q", len(parts), *sizes))
            for part in parts:
                self._socket.sendall(part)
        except OSError as error:
            raise LinkLost from error

    def receive(self) -> tuple[Any, float]:
        (count,) = struct.unpack("<Q", self._read(8))
        start = time.perf_counter()
        sizes = struct.unpack(f"<{count}Q", self._read(8 * count))
        data, *buffers = [self._read(size) for size in sizes]
        return pickle.loads(data, buffers=buffers), time.perf_counter() - start

    def _read(self, size: int) -> memoryview:
        data = np.empty(size, np.uint8).data  # unlike a bytearray's, its memory is not filled first
        place = 0
        while place < size:
            try:
                received = self._socket.recv_into(data[place:])
            except OSError as error:
                raise LinkLost from error
            if received == 0:
                raise LinkLost
            place += received
        return data

    def shut_down(self) -> None:
        """Shut the socket down: whoever waits for the other side finds it lost."""
        import socket

        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)


class QueueLink:
    """A link within this process; `pair` makes both ends."""

    def __init__(self, inbox: SimpleQueue[Any], outbox: SimpleQueue[Any]) -> None:
        self._inbox, self._outbox = inbox, outbox

    @classmethod
    def pair(cls) -> tuple[QueueLink, QueueLink]:
        there: SimpleQueue[Any] = SimpleQueue()
        back: SimpleQueue[Any] = SimpleQueue()
        return cls(there, back), cls(back, there)

    def send(self, message: Any) -> None:
        self._outbox.put(message)

    def receive(self) -> tuple[Any, float]:
        return self._inbox.get(), 0.0


class MpiLink:
    """A link to one other rank of a communicator; `MpiPump` fills the inbox."""

    def __init__(self, communicator: Any, rank: int) -> None:
        self._communicator, self._rank = communicator, rank
        self.inbox: SimpleQueue[tuple[Any, float]] = SimpleQueue()

    def send(self, message: Any) -> None:
        # All parts at once: `improbe` looks at the last before the first is received.
        self._communicator.isend(message, self._rank).wait()

    def receive(self) -> tuple[Any, float]:
        message, seconds = self.inbox.get()
        if isinstance(message, _Undelivered):
            raise message.error
        return message, seconds


class _Undelivered:
    """A message that could not be read."""

    def __init__(self, error: Exception) -> None:
        self.error = error


class MpiPump:
    """One thread that receives all messages of a process.

    MPI's own waiting takes a whole processor, which another rank may need: this asks, and sleeps
    longer the longer nothing came.
    """

    _SHORTEST_SECONDS, _LONGEST_SECONDS = 2e-5, 2e-3

    def __init__(self, communicator: Any, link_of: Callable[[int], MpiLink]) -> None:
        self._communicator, self._link_of = communicator, link_of
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="facegen-mpi", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stopped = True
        self._thread.join()

    def _run(self) -> None:
        from mpi4py import MPI

        status = MPI.Status()
        pause = self._SHORTEST_SECONDS
        while not self._stopped:
            message = self._communicator.improbe(status=status)
            if message is None:
                time.sleep(pause)
                pause = min(1.5 * pause, self._LONGEST_SECONDS)
                continue
            pause = self._SHORTEST_SECONDS
            start = time.perf_counter()
            try:
                content = message.recv()
            except Exception as error:
                content = _Undelivered(error)
            self._link_of(status.source).inbox.put((content, time.perf_counter() - start))
