"""Ctrl-C and SIGTERM end a command as an exception does, so that half-written files are removed."""

from __future__ import annotations

import os
import signal
import threading
import time

# Launchers and `timeout` send a signal twice, and so do hasty people: for so long after the first
# one the tidying up goes on. Whoever asks again later does not want to wait for it.
_TIDYING_SECONDS = 1.0


def handle() -> None:
    """Raise KeyboardInterrupt or SystemExit at the first signal; a late second one ends at once.

    After the second, temporary files may stay, as after ``kill -9``. What is ignored when the
    command starts, as Ctrl-C is in a shell's background jobs, stays ignored.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    first: list[float] = []

    def end(number: int, frame: object) -> None:
        now = time.monotonic()
        if not first:
            first.append(now)
            raise KeyboardInterrupt if number == signal.SIGINT else SystemExit(128 + number)
        if now - first[0] > _TIDYING_SECONDS:
            os._exit(128 + number)

    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, end)
