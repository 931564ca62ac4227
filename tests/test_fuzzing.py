"""The fuzzers run; how long they found nothing is not for a test."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

FUZZ = Path(__file__).parents[1] / "tools" / "fuzz.py"


@pytest.mark.parametrize("target", ["graph_files", "kills", "loaders"])
def test_it_runs(target: str) -> None:
    done = subprocess.run(
        [sys.executable, FUZZ, target, "--rounds", "3", "--seed", "1"],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0 and "3 rounds from seed 1, 0 faults" in done.stdout, done.stdout


def test_a_fault_of_a_loader_is_found(tmp_path: Path) -> None:
    """Any other error than ours, and more memory than a file of its size may take."""
    source = f"""
import sys
sys.path[:0] = [{str(FUZZ.parent)!r}, {str(FUZZ.parents[1] / "tests")!r}]
from fuzzing.loaders import Case, try_one
for read in (lambda path: bytes(300 << 20), lambda path: int("x")):
    try:
        try_one(Case("x", b"", read), b"x")
    except Exception as error:
        print(type(error).__name__, error)
try_one(Case("x", b"", lambda path: bytes(100 << 20)), b"x")
"""
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "MemoryError x: ",
        "ValueError x: invalid literal for int() with base 10: 'x'",
    ]
