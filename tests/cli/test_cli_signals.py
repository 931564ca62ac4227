"""Ctrl-C at moments at which Python itself would lose it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

COMMAND = """
import sys, time
from facegen.cli import signals

signals.handle()
try:
    import module

    time.sleep(30)
except KeyboardInterrupt:
    sys.exit(module.whole and 130)
"""

# What happens while the module is imported, which takes a little longer.
MOMENTS = {
    "between two lines": "os.kill(os.getpid(), signal.SIGINT)",
    "in generated code": 'exec("os.kill(os.getpid(), signal.SIGINT)")',
    "where exceptions are lost": """
class Last:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.01)

one = Last()
del one
""",
}


def run(command: str, module: str, folder: Path) -> tuple[int, str]:
    """Exit code and standard error of a command that imports the module."""
    (folder / "module.py").write_text(f"import os, signal, time\n{module}")
    process = subprocess.run(
        [sys.executable, "-c", command],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(folder), *sys.path])},
        timeout=25,
        check=False,
    )
    return process.returncode, process.stderr


@pytest.mark.parametrize("moment", MOMENTS)
def test_an_interrupt_waits_until_a_module_is_imported(moment: str, tmp_path: Path) -> None:
    module = f"{MOMENTS[moment]}\ntime.sleep(0.1)\nwhole = True\n"
    assert run(COMMAND, module, tmp_path) == (130, "")


NO_THREADS = """
import sys, threading
from facegen.cli import signals

def start(thread):
    raise RuntimeError("can't start new thread")

threading.Thread.start = start
signals.handle()
try:
    import module
except KeyboardInterrupt:
    sys.exit(130)
"""


def test_an_interrupt_does_not_wait_where_no_thread_can_be_started(tmp_path: Path) -> None:
    module = "os.kill(os.getpid(), signal.SIGINT)\ntime.sleep(0.1)\n"
    assert run(NO_THREADS, module, tmp_path) == (130, "")
