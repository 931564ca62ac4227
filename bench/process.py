"""A process that holds an object and calls its methods on request.

Whoever measures has each contender in one, and all but the one that is timed are stopped
(SIGSTOP): the idle thread pools of the others cannot spin beside it, and thread counts set for one
library do not reach another.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any


class WorkerError(Exception):
    """What went wrong in a worker, in one line."""


class Late(WorkerError):
    """It took longer than it may, and was ended."""


class Process:
    """The parent's end.

    Parameters
    ----------
    make
        Called with the arguments in the process; gives the object.
    threads
        Of OpenMP and of what asks its variable.
    passed
        Errors that are handed on as they are; others become a WorkerError.
    """

    def __init__(
        self,
        make: Callable[..., Any],
        *arguments: Any,
        threads: int = 1,
        passed: tuple[type[Exception], ...] = (),
    ) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(
            target=_serve, args=(theirs, make, arguments, threads, passed)
        )
        self._process.daemon = True
        self._process.start()
        theirs.close()

    @property
    def alive(self) -> bool:
        return self._process.is_alive()

    def close(self, patience: float = 5.0) -> None:
        """Ends the process, whatever it is doing; so many seconds it may take to end by itself."""
        self._connection.close()  # ends _serve, where it waits for a request
        if self._process.is_alive():
            assert self._process.pid is not None
            os.kill(self._process.pid, signal.SIGCONT)
            self._process.join(timeout=patience)
        self._process.kill()
        self._process.join()

    def ask(self, request: str, *arguments: Any, timeout: float | None = None) -> Any:
        """What the method gives; WorkerError where it raises, dies, or is late."""
        self.send(request, *arguments)
        return self.answer(timeout)

    def send(self, request: str, *arguments: Any) -> None:
        """Have it begin; `answer` then waits for it."""
        assert self._process.pid is not None
        os.kill(self._process.pid, signal.SIGCONT)
        try:
            self._connection.send((request, *arguments))
        except ConnectionError:
            raise self._death() from None

    def answer(self, timeout: float | None = None) -> Any:
        """See `ask`. Stops the process."""
        try:
            if not self._connection.poll(timeout):
                self.close(patience=0)
                raise Late(f"no answer within {timeout:.0f} s")
            answer = self._connection.recv()
        except (EOFError, ConnectionError):
            raise self._death() from None
        assert self._process.pid is not None
        os.kill(self._process.pid, signal.SIGSTOP)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _death(self) -> WorkerError:
        self._process.join()
        return WorkerError(f"its process died, exit code {self._process.exitcode}")


def _serve(
    connection: Connection,
    make: Callable[..., Any],
    arguments: tuple[Any, ...],
    threads: int,
    passed: tuple[type[Exception], ...],
) -> None:
    """Answers requests until the parent is gone."""
    # Before any library is imported; the second keeps torch.compile from a pool of processes.
    os.environ["OMP_NUM_THREADS"] = str(threads)
    os.environ["TORCHINDUCTOR_COMPILE_THREADS"] = "1"
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends this one
    silence = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        os.dup2(silence, stream.fileno())  # converters talk
    made: Any = None
    while True:
        try:
            request, *given = connection.recv()
        except EOFError:
            return
        try:
            if made is None:
                made = make(*arguments)
            answer = getattr(made, request)(*given)
        except passed as error:
            answer = error
        except Exception as error:
            message = str(error).strip().splitlines() or [""]
            answer = WorkerError(f"{type(error).__name__}: {message[0][:200]}")
        connection.send(answer)
