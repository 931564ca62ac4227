"""Runs a program of the course, and reads the line of JSON that it prints for each problem."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from facegen.errors import FacegenError
from facegen.learn.build import build

RUN_SECONDS = 300.0


@dataclass(frozen=True)
class Result:
    """What a rung found on one problem; None where it does not say.

    Attributes
    ----------
    rung, problem
        As "04_register_blocking" and "tconv2".
    verified
        Whether all checked outputs are right; None where nothing ran.
    ms, gflops
        The least time of several, and the definition's multiply-adds (2 operations each) by it.
    peak_gflops, percent_of_peak
        The ceiling of as many threads as were used, measured in the same run.
    threads, images
        Used, and in a batch.
    machine
        The processor or the GPU.
    error
        The largest, as a share of what is allowed.
    wrong
        Where it is wrong: the worst output, what was expected and what was found.
    not_timed
        What this machine lacks; then there are no times, and no verdict unless it is emulated.
    fields
        All that the line says.
    """

    rung: str
    problem: str
    verified: bool | None
    ms: float | None = None
    gflops: float | None = None
    peak_gflops: float | None = None
    percent_of_peak: float | None = None
    threads: int | None = None
    images: int | None = None
    machine: str = ""
    error: float | None = None
    wrong: str = ""
    not_timed: str = ""
    fields: dict[str, Any] = field(default_factory=dict, repr=False)


def build_and_run(
    source: Path | str,
    *,
    problem: str | None = None,
    tiny: bool = False,
    images: int | None = None,
    threads: int | None = None,
    seconds: float | None = None,
    more_flags: Sequence[str] = (),
    timeout: float = RUN_SECONDS,
) -> list[Result]:
    """Builds a file and runs it: a result for each problem.

    Parameters
    ----------
    source
        A rung, or one's own file that includes the course's headers.
    problem
        "conv3x3" or "tconv2"; both if None.
    tiny
        On maps of a few pixels and 64 channels: in milliseconds, for tests.
    images, threads
        Other numbers of them than the program's own.
    seconds
        For which each problem is timed; the program's own if None.
    more_flags
        For the compiler.
    timeout
        Seconds after which the program is ended.

    Raises
    ------
    BuildError
        The file does not compile.
    FacegenError
        It cannot be built, crashes, takes too long, or prints something else.
    """
    options: list[str] = ["--tiny"] if tiny else []
    given = {"problem": problem, "images": images, "threads": threads, "seconds": seconds}
    for name, value in given.items():
        if value is not None:
            options += [f"--{name}", str(value)]
    return run(build(source, more_flags), options, timeout)


def run(program: Path, options: Sequence[str], timeout: float = RUN_SECONDS) -> list[Result]:
    """The results that a built program prints; for errors see `build_and_run`."""
    try:
        done = subprocess.run(
            [str(program), *options],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise FacegenError(f"{program.name}: took more than {timeout:g} s and was ended") from None
    said = done.stderr.decode(errors="replace").strip()
    if done.returncode < 0:
        raise FacegenError(f"{program.name}: crashed (signal {-done.returncode}) {said}".strip())
    if done.returncode not in (0, 1):
        raise FacegenError(f"{program.name}: ended with {done.returncode}: {said}")
    lines = done.stdout.decode(errors="replace").splitlines()
    results = [_read(program, line) for line in lines if line.startswith("{")]
    if not results:
        raise FacegenError(f"{program.name}: printed no result {said}".strip())
    return results


def _read(program: Path, line: str) -> Result:
    try:
        fields = json.loads(line)
        known = {name: fields[name] for name in Result.__dataclass_fields__ if name in fields}
        return Result(**known, fields=fields)
    except (ValueError, TypeError) as error:
        raise FacegenError(f"{program.name}: expected a line of JSON, found {line!r}") from error
