"""Properties that are found out once, also where a process forks meanwhile."""

from __future__ import annotations

import subprocess
import sys

from facegen.cached import cached_property
from package_modules import MODULES

FORK = """
import os, signal, threading
from facegen.cached import cached_property

begun, go_on = threading.Event(), threading.Event()

class Slow:
    @cached_property
    def value(self):
        if threading.current_thread() is not threading.main_thread():
            begun.set()
            go_on.wait()
        return 7

thread = threading.Thread(target=lambda: Slow().value)
thread.start()
begun.wait()
child = os.fork()
if child == 0:
    signal.alarm(20)
    os._exit(Slow().value)
_, status = os.waitpid(child, 0)
go_on.set()
thread.join()
assert os.waitstatus_to_exitcode(status) == 7, status
"""


def test_a_property_is_found_out_once() -> None:
    class Counted:
        times = 0

        @cached_property
        def value(self) -> list[int]:
            """Found out once."""
            self.times += 1
            return [self.times]

    counted = Counted()
    assert counted.value is counted.value
    assert counted.value == [1]
    assert Counted.value.__doc__ == "Found out once."


def test_a_child_does_not_wait_for_a_thread_that_it_lacks() -> None:
    subprocess.run([sys.executable, "-W", "ignore", "-c", FORK], check=True, timeout=100)


def test_no_property_has_the_lock_of_functools() -> None:
    importing = "from functools import cached_property"
    assert not [path for path in MODULES if importing in path.read_text(encoding="utf-8")]
