"""Whether the other ranks are still heard of, over MPI.

MPI and its launcher see a process that dies. A network that fails they may not see: MPICH over TCP
waits on when a cable is taken out. So each rank says every few seconds that it is there.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

from facegen.errors import FacegenError

# A process may be busy with memory that is short, or a beat wait behind a large message.
DEFAULT_SECONDS = 300
_INTERVAL_SECONDS = 5.0
_ALIVE, _END = b"a", b"e"


def longest_silence() -> int:
    """Seconds, by FACEGEN_MPI_TIMEOUT; 0 is for ever.

    Raises
    ------
    FacegenError
        The variable holds no number.
    """
    text = os.environ.get("FACEGEN_MPI_TIMEOUT") or str(DEFAULT_SECONDS)
    if not text.isdecimal() or len(text) > 9:
        raise FacegenError(f"FACEGEN_MPI_TIMEOUT: expected a number of seconds, found {text!r}")
    return int(text)


class Heartbeat:
    """A thread that tells some ranks that this one is there, and notices which of them are not.

    Parameters
    ----------
    communicator
        Of its own: nothing else uses it.
    ranks
        That are told and listened to; they do the same.
    seconds
        Longest silence.
    on_silence
        Called with the rank that was silent for longer.

    Silence is counted in this thread's own intervals, so that a run that was suspended as a whole,
    by Slurm or with the machine, goes on.
    """

    def __init__(
        self,
        communicator: Any,
        ranks: Iterable[int],
        seconds: float,
        on_silence: Callable[[int], None],
    ) -> None:
        self._communicator, self._on_silence = communicator, on_silence
        self._silent = dict.fromkeys(ranks, 0)  # intervals
        self._ended: set[int] = set()
        self._sent: list[Any] = []  # requests, whose buffers must live
        self._interval = min(_INTERVAL_SECONDS, seconds / 4)
        self._most = seconds / self._interval
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="facegen-heartbeat", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End, together with the others: no message stays on its way."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping.wait(self._interval):
            self._tell(_ALIVE)
            self._listen()
            if self._too_silent():
                return
        self._tell(_END)
        begin = time.monotonic()
        while len(self._ended) < len(self._silent):
            time.sleep(0.001)
            self._listen()
            if time.monotonic() - begin > self._interval:
                begin = time.monotonic()
                if self._too_silent():
                    return
        for request, _ in self._sent:
            request.Wait()

    def _tell(self, word: bytes) -> None:
        self._sent = [(request, data) for request, data in self._sent if not request.Test()]
        for rank in self._silent:
            data = bytearray(word)
            self._sent.append((self._communicator.Isend(data, rank), data))

    def _listen(self) -> None:
        from mpi4py import MPI

        status, word = MPI.Status(), bytearray(1)
        while self._communicator.Iprobe(status=status):
            self._communicator.Recv(word, status.source)
            self._silent[status.source] = 0
            if word == _END:
                self._ended.add(status.source)

    def _too_silent(self) -> bool:
        """Another interval has passed."""
        for rank in self._silent.keys() - self._ended:
            self._silent[rank] += 1
            if self._silent[rank] > self._most:
                self._on_silence(rank)
                return True
        return False
