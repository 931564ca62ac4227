#!/usr/bin/env python3
"""Builds and tests the last commit with each compiler, and prints docs/install.md's table.

A compiler is a package of a Debian release. This machine's own release is used as it is; another
one lies in a folder, made by debootstrap where it is missing, which takes root:

    tools/compiler-matrix.py FOLDER [ROW ...]      # rows as in trixie/g++-13; all by default

Each row installs the package from a copy of the last commit into an empty environment, with the
native tests and warnings as errors. It runs these and then the tests of same bits, on every
instruction set that the processor has. What a row says is in FOLDER/ROW.log.
"""

from __future__ import annotations

import argparse
import datetime
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import IO

ROWS = [
    "bookworm/g++-11", "bookworm/g++-12", "trixie/g++-13", "trixie/g++-14", "sid/g++-15",
    "sid/g++-16", "bookworm/clang-14", "bookworm/clang-16", "bookworm/clang-19", "sid/clang-21",
]  # fmt: skip
NEEDED = ["ca-certificates", "python3-dev", "python3-venv"]
# The first run on every instruction set as they are, the others on the one that is chosen: the best
# one by naming none, since AMX by its name has no strict precision.
KERNEL_TESTS = "tests/kernels/test_exactness.py tests/kernels/test_scores.py"
NETWORK_TESTS = "tests/networks/test_dcgan.py tests/networks/test_default.py"
MIRROR = "http://deb.debian.org/debian"

BUILD = """
set -e
python3 -m venv --clear {work}/venv
. {work}/venv/bin/activate
cd {work}/source
if command -v ccache; then export CMAKE_CXX_COMPILER_LAUNCHER=ccache; fi
pip install -q pytest hypothesis cmake
CXX={compiler} pip install -q . -C build-dir={work}/build -C cmake.define.FACEGEN_CUDA=OFF \
  -C cmake.define.FACEGEN_TESTS=ON -C cmake.define.FACEGEN_WERROR=ON
"""
COMPILER = "{compiler} --version | head -n 1"
PYTHON = "{work}/venv/bin/python --version"
ISAS = """
cd / && {work}/venv/bin/python -c "from facegen import _native; print(*_native.available_isas())"
"""
NATIVE = "{work}/venv/bin/ctest --test-dir {work}/build --output-on-failure"
SAME_BITS = """
cd {work}/source
FACEGEN_ISA={isa} {work}/venv/bin/python -m pytest -q -p no:cacheprovider {tests}
"""


class Row:
    """One compiler of one release, with all that it says in a log."""

    def __init__(self, folder: Path, name: str) -> None:
        self.release, self.package = name.split("/")
        self.root = folder / self.release if self.release != own_release() else Path("/")
        self.log = folder / f"{self.release}-{self.package}.log"
        self.words = {
            "compiler": self.package.replace("clang-", "clang++-"),
            "work": f"/var/tmp/facegen-matrix/{self.package}",
        }

    def run(self, script: str, log: IO[str], **words: str) -> str:
        """What a script says, run in the release's folder."""
        inside = [] if self.root == Path("/") else ["chroot", str(self.root)]
        command = script.format(**self.words, **words)
        done = subprocess.run(
            [*inside, "sh", "-c", command],
            env={**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
        )  # fmt: skip
        log.write(f"$ {command.strip()}\n{done.stdout}\n")
        log.flush()
        if done.returncode != 0:
            raise RuntimeError(f"exit code {done.returncode}, see {self.log}")
        return done.stdout.strip()

    def prepare(self, log: IO[str]) -> None:
        """The release with its compiler, and a copy of the last commit in it."""
        if not (self.root / "usr").exists():
            command = ["debootstrap", "--variant=minbase", self.release, str(self.root), MIRROR]
            subprocess.run(command, stdout=log, stderr=log, check=True)
        if self.root != Path("/"):
            self.copy_in("etc/resolv.conf")
            packages = " ".join([*NEEDED, self.package])
            self.run(
                "dpkg -s {packages} > /dev/null 2>&1 || (apt-get update && "
                "apt-get install -y --no-install-recommends {packages})",
                log, packages=packages,
            )  # fmt: skip
            self.copy_in("etc/ssl/certs/ca-certificates.crt")  # the package has written its own
        source = self.root / self.words["work"].lstrip("/") / "source"
        shutil.rmtree(source, ignore_errors=True)
        source.mkdir(parents=True)
        checkout = Path(__file__).parents[1]
        command = ["git", "-C", str(checkout), "archive", "HEAD"]
        archive = subprocess.run(command, check=True, stdout=subprocess.PIPE)
        subprocess.run(["tar", "-x", "-C", str(source)], input=archive.stdout, check=True)

    def copy_in(self, file: str) -> None:
        """This machine's own file, for pip reaches its index as this machine does."""
        if Path("/", file).exists():
            (self.root / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(Path("/", file), self.root / file)

    def table_line(self) -> str:
        """Builds and tests; a line of the table, which says what failed."""
        columns = [self.package, self.release, "", "", "", "not built"]
        with open(self.log, "w", encoding="utf-8") as log:
            try:
                self.prepare(log)
                version = self.run(COMPILER, log)
                columns[0] = compiler_name(version)
                self.run(BUILD, log)
                columns[2] = self.run(PYTHON, log).removeprefix("Python ")
                columns[5] = "built"
                isas = self.run(ISAS, log).split()
                columns[3] = ", ".join(isas)
                native = re.search(r"tests passed out of (\d+)", self.run(NATIVE, log))
                columns[4] = f"{native.group(1) if native else '?'} passed"
                passed = 0
                runs = [("", KERNEL_TESTS), *((isa, NETWORK_TESTS) for isa in ["", *isas[1:]])]
                for isa, tests in runs:
                    said = self.run(SAME_BITS, log, isa=isa, tests=tests)
                    counted = re.search(r"(\d+) passed", said)
                    passed += int(counted.group(1)) if counted else 0
                columns[5] = f"{passed} passed"
            except (RuntimeError, OSError, subprocess.CalledProcessError) as error:
                columns[5] += f"; then failed: {error}"
        columns.append(datetime.date.today().isoformat())
        return "| " + " | ".join(columns) + " |"


def own_release() -> str:
    """This machine's release of Debian."""
    text = Path("/etc/os-release").read_text(encoding="utf-8")
    found = re.search(r"^VERSION_CODENAME=(\w+)", text, re.MULTILINE)
    return found.group(1) if found else ""


def compiler_name(line: str) -> str:
    """GCC 13.3.0 of `g++-13 (Debian 13.3.0-16) 13.3.0`; the same of Clang's line."""
    found = re.search(r"version (\d+\.\d+\.\d+)|(\d+\.\d+\.\d+)$", line)
    version = next(filter(None, found.groups())) if found else "?"
    return f"{'Clang' if 'clang' in line else 'GCC'} {version}"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path, help="where releases and logs are")
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"of {', '.join(ROWS)}")
    arguments = parser.parse_args()
    rows = arguments.rows or ROWS
    if unknown := [row for row in rows if "/" not in row]:
        parser.error(f"{unknown[0]}: expected RELEASE/PACKAGE, as {ROWS[0]}")
    arguments.folder.mkdir(parents=True, exist_ok=True)
    print("| compiler | Debian | Python | instruction sets | native tests | same bits | date |")
    print("|---|---|---|---|---|---|---|", flush=True)
    failed = False
    for row in rows:
        line = Row(arguments.folder.resolve(), row).table_line()
        print(line, flush=True)
        failed = failed or "not built" in line or "failed" in line
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
