"""Ranks without MPI: rank 0 has a socket to each of the others, for what GPUs' hosts say.

Sums go from GPU to GPU; what is said here is who began, an error's words, a checkpoint's arrays. To
rank 0 goes JSON, so that nobody who finds its port can make it run code; from it come pickles.
A rank that is gone, or has failed, ends the others: they would wait for it on their GPUs.
"""

from __future__ import annotations

import errno
import json
import os
import pickle
import socket
import struct
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from queue import SimpleQueue
from typing import Any

import numpy as np

from facegen.errors import FacegenError
from facegen.files.json_text import json_text
from facegen.launchers import Place
from facegen.parallel.transport import take_descriptors

_MOST_TO_ROOT_BYTES = 1 << 20
_MESSAGE, _ENDED, _FAILED = b"m", b"e", b"f"
_HEAD = struct.Struct(">cQ")  # kind, bytes


class Star:
    """A communicator, with those of mpi4py's methods that ranks on GPUs need.

    Parameters
    ----------
    sockets
        Connected: of rank 0 those to all others by their ranks, of these the one to rank 0.
    """

    def __init__(self, rank: int, size: int, sockets: Mapping[int, socket.socket]) -> None:
        self._rank, self._size, self._sockets = rank, size, dict(sockets)
        self._inboxes: dict[int, SimpleQueue[bytes | None]] = {r: SimpleQueue() for r in sockets}
        self._ended: set[int] = set()
        self._leaving = False
        self._sending = threading.Lock()  # a message is not to be cut by another thread's last word
        for other in self._sockets:
            threading.Thread(target=self._read, args=[other], daemon=True).start()

    def Get_rank(self) -> int:
        return self._rank

    def Get_size(self) -> int:
        return self._size

    def allgather(self, value: Any) -> list[Any]:
        """What each rank gives, which JSON takes."""
        if self._rank > 0:
            self._send(0, _MESSAGE, json_text(value).encode())
            found: list[Any] = pickle.loads(self._receive(0))
            return found
        values = [json.loads(json_text(value))]
        values += [json.loads(self._receive(other)) for other in range(1, self._size)]
        self.bcast(values)
        return values

    def bcast(self, value: Any = None) -> Any:
        """Rank 0's value, on every rank."""
        if self._rank > 0:
            return pickle.loads(self._receive(0))
        message = pickle.dumps(value, 5)
        for other in self._sockets:
            self._send(other, _MESSAGE, message)
        return value

    def Allreduce(self, own: np.ndarray, total: np.ndarray) -> None:
        """The sum of the ranks' arrays, which are small."""
        total[...] = np.sum(self.allgather(own.tolist()), axis=0)

    def Abort(self, code: int) -> None:
        """End all ranks now."""
        self._end(code)

    def leave(self) -> None:
        """The others go on without this rank, or end too."""
        self._leaving = True
        for other in self._sockets:
            self._send(other, _ENDED)

    def _send(self, to: int, kind: bytes, message: bytes = b"") -> None:
        with self._sending, suppress(OSError):  # whoever is gone is found by the thread that reads
            self._sockets[to].sendall(_HEAD.pack(kind, len(message)) + message)

    def _receive(self, source: int) -> bytes:
        message = self._inboxes[source].get()
        if message is None:
            raise FacegenError(f"rank {source} has ended before the others")
        return message

    def _read(self, source: int) -> None:
        try:
            while True:
                kind, message = read_frame(self._sockets[source], self._rank == 0)
                if kind == _FAILED:
                    self._end(1)
                if kind == _ENDED:
                    self._ended.add(source)
                    self._inboxes[source].put(None)
                    return
                self._inboxes[source].put(message)
        except (OSError, ValueError):
            if self._leaving:
                return
            if self._rank <= 1:  # rank 0 says it, or the next one of rank 0
                last_words(f"rank {source} is gone")
            self._end(1)

    def _end(self, code: int) -> None:
        self._leaving = True
        for other in self._sockets.keys() - self._ended:
            # Not by _send: this thread may not wait for one that sends to a rank that is gone.
            with suppress(OSError):
                self._sockets[other].settimeout(1.0)
                self._sockets[other].sendall(_HEAD.pack(_FAILED, 0))
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()
        os._exit(code)  # another thread may wait for a GPU, for ever


def last_words(text: str) -> None:
    """Say why all ranks end, in one piece: others may write to the same place."""
    sys.stderr.write(f"facegen: error: {text}\n")
    sys.stderr.flush()


def frame_of(value: Any) -> bytes:
    """A message that JSON takes."""
    message = json_text(value).encode()
    return _HEAD.pack(_MESSAGE, len(message)) + message


def read_frame(connection: socket.socket, at_root: bool) -> tuple[bytes, bytes]:
    """A message's kind and bytes; `at_root`: no more than JSON of a few lines."""
    kind, size = _HEAD.unpack(_read_bytes(connection, _HEAD.size))
    if kind not in (_MESSAGE, _ENDED, _FAILED) or (at_root and size > _MOST_TO_ROOT_BYTES):
        raise ValueError("not a message of a rank")
    return kind, bytes(_read_bytes(connection, size))


def _read_bytes(connection: socket.socket, size: int) -> bytearray:
    data = bytearray(size)
    at = 0
    while at < size:
        count = connection.recv_into(memoryview(data)[at:])
        if count == 0:
            raise OSError(errno.ECONNRESET, "the other side is gone")
        at += count
    return data


def inherit(place: Place) -> Star:
    """The ranks of `facegen launch`, whose sockets this process was given."""
    sockets = {other: socket.socket(fileno=n) for other, n in take_descriptors(place).items()}
    return Star(place.rank, place.size, sockets)
