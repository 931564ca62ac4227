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


@pytest.mark.parametrize("moment", MOMENTS)
def test_an_interrupt_waits_until_a_module_is_imported(moment: str, tmp_path: Path) -> None:
    module = f"import os, signal, time\n{MOMENTS[moment]}\ntime.sleep(0.1)\nwhole = True\n"
    (tmp_path / "module.py").write_text(module)
    path = os.pathsep.join([str(tmp_path), *sys.path])
    process = subprocess.run(
        [sys.executable, "-c", COMMAND],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": path},
        timeout=25,
        check=False,
    )
    assert (process.returncode, process.stderr) == (130, "")
