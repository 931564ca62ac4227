"""A tool that a build does not find is named in one line, with the package that has it."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent.parent

pytestmark = pytest.mark.skipif(
    shutil.which("cmake") is None or not (SOURCE / "CMakeLists.txt").exists(),
    reason="needs cmake and a checkout",
)


def configure(build: Path, *options: str, **environment: str) -> str:
    """What CMake prints where it must fail."""
    done = subprocess.run(
        ["cmake", "-S", SOURCE, "-B", build, "-DFACEGEN_CUDA=OFF", *options],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    return done.stderr


def line_of(text: str) -> str:
    (line,) = [line for line in text.splitlines() if line.strip().startswith("facegen: ")]
    return line.strip()


def test_no_compiler(tmp_path):
    line = line_of(configure(tmp_path, CXX=str(tmp_path / "no-compiler")))
    assert line.startswith("facegen: no C++ compiler was found.")
    assert "apt install g++." in line and "dnf install gcc-c++." in line and "macOS: xcode" in line


def test_no_headers_of_python(tmp_path):
    if shutil.which("c++") is None:
        pytest.skip("needs a C++ compiler")
    line = line_of(configure(tmp_path, f"-DPython_INCLUDE_DIR={tmp_path}/nowhere"))
    assert line.startswith("facegen: the headers of Python 3.")
    assert "apt install python3-dev." in line and "dnf install python3-devel." in line


def test_an_old_compiler(tmp_path):
    """One that calls itself GCC 9: CMake asks it by its macros."""
    if shutil.which("g++") is None:
        pytest.skip("needs g++")
    old = tmp_path / "old-g++"
    old.write_text('#!/bin/sh\nexec g++ -U__GNUC__ -D__GNUC__=9 "$@"\n')
    old.chmod(0o755)
    line = line_of(configure(tmp_path / "build", CXX=str(old)))
    assert line.startswith("facegen: GCC 9.") and "11 or newer is needed" in line


def test_a_python_that_is_not_there():
    """Wheels are begun only where every Python that is named is there."""
    done = subprocess.run(
        [SOURCE / "tools" / "build-wheel.sh", "python3", "python9.9"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr == "build-wheel.sh: python9.9: no such Python\n"
