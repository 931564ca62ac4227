"""Batchers at a fork, and at the interpreter's exit: each in a process that may do as it likes."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

WATCHDOG = 60.0

PRELUDE = """
import asyncio, os, sys, threading, time
import facegen
from facegen.errors import BatcherClosed

entered, go_on = threading.Event(), threading.Event()

def held(items):
    entered.set()
    go_on.wait()
    return items

def double(items):
    return [2 * item for item in items]

def in_child(function):
    child = os.fork()
    if child == 0:
        try:
            function()
        finally:
            sys.stdout.flush()
            os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
"""


def output(program: str) -> list[str]:
    result = subprocess.run(
        [sys.executable, "-c", PRELUDE + program],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=WATCHDOG,
        check=False,
    )
    assert result.returncode == 0 and result.stderr == "", result.stderr
    return result.stdout.splitlines()


needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")


@needs_fork
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
class TestForks:
    def test_a_batcher_that_waited_for_its_first_request(self) -> None:
        program = """
batcher = facegen.Batcher(double)
in_child(lambda: print(batcher.submit(1).result()))
print(batcher.submit(2).result())
"""
        assert output(program) == ["2", "4"]

    def test_a_batcher_in_use(self) -> None:
        """The child's starts anew, with room for all; the parent's goes on."""
        program = """
import warnings
warnings.simplefilter("ignore", DeprecationWarning)  # of forks of a process with threads
batcher = facegen.Batcher(held, max_batch=1, max_queue=1)
first = batcher.submit("first")
entered.wait()
second = batcher.submit("second")

def child():
    go_on.set()
    print(batcher.submit("child's").result())
    batcher.close()
    print(second.done())

in_child(child)
print(first.done())
go_on.set()
print(first.result(), second.result())
"""
        assert output(program) == ["child's", "False", "False", "first second"]

    def test_a_model_in_a_child(self) -> None:
        program = """
import warnings
import numpy as np
warnings.simplefilter("ignore", DeprecationWarning)
model = facegen.Generator(device="cpu", threads=2)
batcher = facegen.Batcher(model)
face = batcher.submit(np.zeros(100)).result()
in_child(lambda: print(np.array_equal(batcher.submit(np.zeros(100)).result(), face)))
"""
        assert output(program) == ["True"]

    def test_a_closed_batcher_stays_closed(self) -> None:
        program = """
batcher = facegen.Batcher(double)
batcher.submit(1).result()
batcher.close()

def child():
    try:
        batcher.submit(1)
    except BatcherClosed as error:
        print(error)

in_child(child)
"""
        assert output(program) == ["the batcher is closed"]


class TestExits:
    """Of the interpreter, with batchers that nobody has closed."""

    def test_idle(self) -> None:
        assert output("batcher = facegen.Batcher(double)\nprint(batcher.submit(1).result())") == [
            "2"
        ]

    def test_a_request_waits_for_company(self) -> None:
        program = """
batcher = facegen.Batcher(double, max_wait=3600)
future = batcher.submit(1)
future.add_done_callback(lambda future: print(future.exception()))
"""
        assert output(program) == ["the batcher was closed before this request's turn"]

    def test_a_call_is_under_way(self) -> None:
        """It is waited for: native code that outlived the interpreter would crash."""
        program = """
batcher = facegen.Batcher(held, max_wait=0, max_batch=1)
first = batcher.submit("first")
entered.wait()
second = batcher.submit("second")
first.add_done_callback(lambda future: print(future.result()))
second.add_done_callback(lambda future: (print(type(future.exception()).__name__), go_on.set()))
"""
        assert output(program) == ["BatcherClosed", "first"]

    def test_a_task_is_cut_short(self) -> None:
        program = """
async def main():
    asyncio.create_task(batcher("first"))
    await asyncio.to_thread(entered.wait)
    batcher.submit("second").add_done_callback(lambda future: go_on.set())

batcher = facegen.Batcher(held, max_batch=1)
asyncio.run(main())
print("over")
"""
        assert output(program) == ["over"]
