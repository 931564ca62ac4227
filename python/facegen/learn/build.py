"""Builds a program of the course, or one's own against its headers; what was built is kept."""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from facegen.errors import FacegenError
from facegen.files.digest import file_digest
from facegen.hub import cache
from facegen.learn.compilers import find_compiler, flags_of
from facegen.learn.course import folder
from facegen.learn.process import run_limited

BUILD_SECONDS = 300.0
_SHOWN_LINES = 12  # of what a compiler says
_KEPT = 100  # programs in the cache


class BuildError(FacegenError):
    """The compiler refused a file.

    Attributes
    ----------
    source
        The file.
    output
        All that the compiler said.
    """

    several_lines = True

    def __init__(self, source: Path, output: str) -> None:
        lines = output.strip().splitlines()
        shown = "\n".join(lines[:_SHOWN_LINES])
        more = f"\n... ({len(lines)} lines in all)" if len(lines) > _SHOWN_LINES else ""
        super().__init__(f"{source} does not compile:\n{shown}{more}")
        self.source, self.output = source, output


def build(
    source: Path | str, more_flags: Sequence[str] = (), seconds: float = BUILD_SECONDS
) -> Path:
    """The program made of one file, which may include the course's headers as "../common/rung.h".

    What was built of the same file, headers and compiler on the same kind of machine is taken from
    the cache (facegen.hub.cache.folder, under `course`).

    Parameters
    ----------
    source
        A .cpp or .cu file.
    more_flags
        After those of the file's own command, as ``["-O1"]``.
    seconds
        The compiler is ended after that.

    Raises
    ------
    BuildError
        The file does not compile.
    FacegenError
        There is no file, no compiler, no place to build in, or it took too long.
    """
    source = Path(source).resolve()
    if not source.is_file():
        raise FacegenError(f"{source}: there is no such file")
    headers = folder()
    # A file anywhere finds ../common from the folders of the staircases.
    command = [*find_compiler(source), *flags_of(source), *more_flags, f"-I{headers / 'cpu'}"]
    place = cache.folder() / "course"
    program = place / f"{source.stem}-{_key(source, headers, command)}"
    if os.name == "nt":
        program = program.with_suffix(".exe")
    if program.is_file():
        os.utime(program)
        return program
    place.mkdir(parents=True, exist_ok=True)
    partial = place / f".{os.getpid()}-{program.name}"
    try:
        result = run_limited([*command, str(source), "-o", str(partial)], seconds)
        output = result.output + result.errors
        if result.code != 0:
            raise BuildError(source, output or f"{command[0]} ended with {result.code}")
        os.replace(partial, program)
    except subprocess.TimeoutExpired:
        raise FacegenError(f"{source}: compiling took more than {seconds:g} s") from None
    finally:
        partial.unlink(missing_ok=True)
    forget_oldest(place)
    return program


def _key(source: Path, headers: Path, command: Sequence[str]) -> str:
    """Of all that a program depends on."""
    parts = ["\0".join(command), platform.machine(), _instructions(), _version(command[0])]
    # Rungs of the GPU include some of the package's own sources.
    ours = headers.parent / "csrc" / "cuda"
    included = [*sorted(ours.glob("*/parts/*.cuh")), *ours.glob("fit/split.h")]
    if source.suffix != ".cu":
        included = []
    for file in [source, *sorted((headers / "common").iterdir()), *included]:
        parts.append(f"{file.name} {file_digest(file)}")
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _instructions() -> str:
    """What -march=native depends on; a home folder may be that of several machines."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            return next((line for line in file if line.startswith(("flags", "Features"))), "")
    except OSError:
        return platform.processor()


def _version(compiler: str) -> str:
    try:
        result = subprocess.run(
            [compiler, "--version"], capture_output=True, timeout=30, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return result.stdout.decode(errors="replace")


def forget_oldest(place: Path) -> None:
    """Remove files in a folder of the cache beyond so many; each is some 50 KB."""
    times = {}
    for file in place.iterdir():
        with suppress(OSError):  # another process may do the same
            if file.is_file() and not file.name.startswith("."):
                times[file] = file.stat().st_mtime
    for file in sorted(times, key=times.__getitem__, reverse=True)[_KEPT:]:
        file.unlink(missing_ok=True)
