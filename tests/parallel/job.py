"""A program for several ranks: python job.py COUNT MODE; rank 0 prints what came of it as JSON.

Modes: "plain"; "slow 0", rank 0 takes 20 ms an item; "sleep 1", rank 1 takes 3 seconds; "fail 7",
item 7 cannot be computed; "kill 1", rank 1 kills itself at its third item; "stop 1", it stops
itself there; "lambda", what cannot be pickled; "sink", the third result cannot be written.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator

import numpy as np

from facegen import parallel

RANK = parallel.find_place(os.environ).rank


class Square:
    """Squares arrays; says which rank did it."""

    def __init__(self, mode: str) -> None:
        self.word, _, number = mode.partition(" ")
        self.number = int(number or -1)
        self.calls = 0

    def __call__(self, item: tuple[int, np.ndarray]) -> tuple[int, np.ndarray, int]:
        number, values = item
        self.calls += 1
        if self.word in ("slow", "kill", "stop"):
            time.sleep(0.02 if self.number == RANK else 0.001)
        if self.word in ("kill", "stop") and self.number == RANK and self.calls == 3:
            os.kill(os.getpid(), signal.SIGKILL if self.word == "kill" else signal.SIGSTOP)
        if self.word == "sleep" and self.number == RANK:
            time.sleep(3.0)
        if self.word == "fail" and number == self.number:
            raise ArithmeticError(f"item {number}")
        return number, values * values, RANK


def total(result: tuple[int, np.ndarray, int]) -> tuple[int, float, int]:
    number, values, rank = result
    return number, float(values.sum()), rank


def main() -> None:
    count, mode = int(sys.argv[1]), sys.argv[2]
    parallel.join()
    read = written = ahead = 0
    results: list[tuple[int, float, int]] = []

    def source() -> Iterator[tuple[int, np.ndarray]]:
        nonlocal read, ahead
        for i in range(count):
            read += 1
            ahead = max(ahead, read - written)
            yield i, np.full((3, 1000), i, np.float32)

    def sink(result: tuple[int, float, int]) -> None:
        nonlocal written
        if mode == "sink" and written == 2:
            raise OSError("the disk is full")
        results.append(result)
        written += 1

    compute = (lambda item: item) if mode == "lambda" else Square(mode)
    error = ""
    try:
        seconds = parallel.run(source(), compute, sink, total)
    except Exception as caught:
        error, seconds = f"{type(caught).__name__}: {caught}", 0.0
    print(json.dumps({"results": results, "ahead": ahead, "error": error, "seconds": seconds}))
    threading.Thread.start = refuse  # as Python 3.12 does, only later


def refuse(thread: threading.Thread) -> None:
    raise RuntimeError("can't create new thread at interpreter shutdown")


if __name__ == "__main__":
    main()
