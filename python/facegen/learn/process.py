"""Runs programs of learners: for so long, with so much output, and nothing outlives them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from threading import Thread, current_thread, main_thread
from types import FrameType
from typing import IO

MOST_BYTES = 1 << 20  # that are read of an output
_TOLD_LINES, _TOLD_COLUMNS = 100, 500


@dataclass(frozen=True)
class Ended:
    """What became of a program.

    Attributes
    ----------
    code
        Its exit code; less than 0 for a signal.
    output, errors
        What it wrote to stdout and to stderr.
    too_much
        Whether it was ended for an output of more than `MOST_BYTES`.
    """

    code: int
    output: str
    errors: str
    too_much: bool

    @property
    def crash(self) -> str:
        """ "crashed (signal 11, Segmentation fault)"; empty where no signal has ended it."""
        if self.code >= 0:
            return ""
        try:
            name = signal.strsignal(-self.code)
        except ValueError:
            name = None
        return f"crashed (signal {-self.code}" + (f", {name})" if name else ")")


def run_limited(command: Sequence[str], seconds: float) -> Ended:
    """Run a command, which reads nothing, and end all that it has started.

    Parameters
    ----------
    command
        The program and its arguments.
    seconds
        After which it is ended.

    Raises
    ------
    subprocess.TimeoutExpired
        It was ended.
    OSError
        It cannot be started.
    """
    with _hangup_raises():
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,  # a group of its own, so that its children end with it
        )
        readers: list[_Reader] = []
        try:
            readers += [_Reader(process, pipe) for pipe in (process.stdout, process.stderr) if pipe]
            code = process.wait(seconds)
        finally:  # also where an interrupt ends the wait: the group is not the terminal's
            _end(process)
            process.wait()
            for reader in readers:
                reader.close()
    output, errors = (reader.text() for reader in readers)
    return Ended(code, output, errors, any(reader.too_much for reader in readers))


def tell_lines(lines: Sequence[str], tell: Callable[[str], None]) -> None:
    """Tell what a learner's own code has printed, or the beginning of it."""
    for line in lines[:_TOLD_LINES]:
        tell(line[:_TOLD_COLUMNS])
    if len(lines) > _TOLD_LINES:
        tell(f"... ({len(lines):,} lines in all)")


@contextmanager
def _hangup_raises() -> Iterator[None]:
    """Let the end of the terminal be an exception: a session of its own is not told of it."""
    number = getattr(signal, "SIGHUP", None)  # Windows has none
    is_main = current_thread() is main_thread()
    if number is None or not is_main or signal.getsignal(number) != signal.SIG_DFL:
        yield
        return

    def end(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    signal.signal(number, end)
    try:
        yield
    finally:
        signal.signal(number, signal.SIG_DFL)


class _Reader(Thread):
    """Takes what comes from a pipe, and ends the process where that is too much."""

    def __init__(self, process: subprocess.Popen[bytes], pipe: IO[bytes]) -> None:
        super().__init__(daemon=True)
        self._process, self._pipe = process, pipe
        self._data = bytearray()
        self.too_much = False
        self.start()

    def run(self) -> None:
        while chunk := os.read(self._pipe.fileno(), 1 << 16):
            self._data += chunk
            if len(self._data) > MOST_BYTES:
                self.too_much = True
                _end(self._process)
                return

    def close(self) -> None:
        self.join(1.0)  # who has left the group may hold the pipe for ever
        if not self.is_alive():
            self._pipe.close()

    def text(self) -> str:
        return bytes(self._data[:MOST_BYTES]).decode(errors="replace")


def _end(process: subprocess.Popen[bytes]) -> None:
    with suppress(OSError):  # none of the group is left
        if sys.platform == "win32":
            process.kill()
        else:
            os.killpg(process.pid, signal.SIGKILL)
