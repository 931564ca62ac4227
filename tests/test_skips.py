"""A run of the tests ends with why some were skipped."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from skips import summary

TESTS = Path(__file__).parent
SKIPPING = """
import pytest

@pytest.mark.parametrize("i", range(3))
def test_marked(i):
    pytest.skip("no moon: cloudy")

@pytest.mark.skip(reason="PyTorch (extra [torch]) is not installed")
def test_one(): ...

def test_two():
    pytest.importorskip("no_such_module", reason="PyTorch is not installed")

def test_that_runs(): ...
"""


def test_reasons_are_counted() -> None:
    reasons = ["no GPU: no driver"] * 2167 + ["PyTorch (extra [torch]) is not\ninstalled"]
    expected = "2,169 skipped: 2,167 no GPU: no driver; 2 PyTorch is not installed"
    assert summary([*reasons, "PyTorch is not installed"]) == expected
    assert summary([]) == ""


def test_a_run_says_why(tmp_path: Path) -> None:
    (tmp_path / "test_x.py").write_text(SKIPPING)
    paths = [str(TESTS), os.environ.get("PYTHONPATH", "")]
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "conftest", "test_x.py"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))},
        capture_output=True,
        text=True,
        check=True,
    )
    expected = "5 skipped: 3 no moon: cloudy; 2 PyTorch is not installed"
    assert expected in result.stdout.splitlines()
