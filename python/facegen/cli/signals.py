"""Ctrl-C and SIGTERM end a command as an exception does, so that half-written files are removed."""

from __future__ import annotations

import os
import signal
import threading
import time
from contextlib import suppress
from types import FrameType

from facegen import system

# Launchers and `timeout` send a signal twice, and so do hasty people: for so long after the first
# one the tidying up goes on. Whoever asks again later does not want to wait for it.
_TIDYING_SECONDS = 1.0
# A signal that comes while a module is imported is put off, again and again, but not for ever: a
# script may run the command while it is imported itself.
_AGAIN_SECONDS = 0.02
_IMPORT_SECONDS = 2.0


def handle() -> None:
    """Raise KeyboardInterrupt or SystemExit at the first signal; a late second one ends at once.

    After the second, temporary files may stay, as after ``kill -9``. What is ignored when the
    command starts, as Ctrl-C is in a shell's background jobs, stays ignored.

    While a module is imported, a signal waits until it is: Python's import loses exceptions that
    come in callbacks of its own, and code that is generated there (dataclasses) makes of Ctrl-C a
    process that ends by the signal, although the exception was caught.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    main = threading.get_ident()
    first: list[float] = []
    asked: list[float] = []

    def end(number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if not asked:
            asked.append(now)
        if _imports(frame) and now - asked[0] < _IMPORT_SECONDS:
            again = threading.Timer(_AGAIN_SECONDS, system.interrupt, (main, number))
            again.daemon = True
            with suppress(RuntimeError):  # the system may start no more threads: then at once
                again.start()
                return
        if not first:
            first.append(now)
            raise KeyboardInterrupt if number == signal.SIGINT else SystemExit(128 + number)
        if now - first[0] > _TIDYING_SECONDS:
            os._exit(128 + number)

    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, end)


def _imports(frame: FrameType | None) -> bool:
    """Whether the frame, or one that called it, belongs to an import statement."""
    while frame is not None:
        if frame.f_code.co_filename == "<frozen importlib._bootstrap>":
            return True
        frame = frame.f_back
    return False
