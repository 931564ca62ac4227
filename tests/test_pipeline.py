from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from facegen.errors import DeviceFailure
from facegen.pipeline import run_pipeline


@pytest.mark.parametrize("depth", [1, 2, 7])
@pytest.mark.parametrize("count", [0, 1, 2, 100])
def test_order_is_kept(count: int, depth: int) -> None:
    results: list[int] = []
    run_pipeline(range(count), lambda i: i * i, results.append, depth)
    assert results == [i * i for i in range(count)]


def test_queues_are_bounded() -> None:
    read = written = 0
    ahead = 0

    def source() -> Iterator[int]:
        nonlocal read, ahead
        for i in range(50):
            read += 1
            ahead = max(ahead, read - written)
            yield i

    def sink(item: int) -> None:
        nonlocal written
        time.sleep(0.001)
        written += 1

    run_pipeline(source(), lambda i: i, sink, depth=2)
    # Two queues of 2, and one item in the hands of each of the three threads.
    assert written == 50 and ahead <= 2 * 2 + 3


class Failure(Exception):
    pass


@pytest.mark.parametrize("where", ["source", "compute", "sink"])
@pytest.mark.parametrize("when", [0, 5, 49])
@pytest.mark.parametrize("kind", [Failure, KeyboardInterrupt])
def test_an_exception_crosses_over(where: str, when: int, kind: type[BaseException]) -> None:
    results: list[int] = []

    def act(place: str, item: int) -> int:
        if place == where and item == when:
            raise kind("failed")
        return item

    def source() -> Iterator[int]:
        for i in range(50):
            yield act("source", i)

    before = threading.active_count()
    with pytest.raises(kind):
        run_pipeline(
            source(), lambda i: act("compute", i), lambda i: results.append(act("sink", i))
        )
    assert results == list(range(len(results))) and len(results) <= when
    assert threading.active_count() == before


def test_an_interrupt_does_not_wait_for_a_source_that_hangs() -> None:
    release = threading.Event()

    def source() -> Iterator[int]:
        yield 0
        release.wait(60)

    def compute(item: int) -> int:
        raise KeyboardInterrupt

    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        run_pipeline(source(), compute, lambda item: None)
    assert time.monotonic() - start < 10
    release.set()


_A_SIGNAL = """
import signal, time
from facegen.errors import DeviceFailure
from facegen.pipeline import run_pipeline

def source():
    yield 0
    time.sleep(1000)

signal.signal(signal.SIGALRM, lambda *_: time.sleep(0.2))
signal.setitimer(signal.ITIMER_REAL, 0.2)
try:
    run_pipeline(source(), lambda i: 1 / i, print)
except ZeroDivisionError:
    print("ended")
"""


def test_a_signal_does_not_stop_the_waiting() -> None:
    """One whose handler returns. A process of its own: it would wait for ever."""
    command = [sys.executable, "-c", _A_SIGNAL]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert result.stdout == "ended\n", result.stderr


def test_no_more_threads_are_a_failure_of_the_machine(monkeypatch):
    def refuse(thread):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    with pytest.raises(DeviceFailure, match="starts no more threads for this process"):
        run_pipeline(range(3), lambda item: item, lambda item: None)
