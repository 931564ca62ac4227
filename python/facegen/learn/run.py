"""Runs a program of the course, and reads the line of JSON that it prints for each problem."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from facegen.errors import FacegenError
from facegen.learn.build import build
from facegen.learn.course import PROBLEMS
from facegen.learn.process import MOST_BYTES, run_limited, tell_lines

RUN_SECONDS = 300.0
_SHOWN = 500  # characters of what a program says at its end


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
    relative_error
        The largest, relative to the outputs' root mean square.
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
    relative_error: float | None = None
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
    tell: Callable[[str], None] | None = None,
) -> list[Result]:
    """Builds a file and runs it: a result for each problem.

    Parameters
    ----------
    source
        A rung, or one's own file that includes the course's headers.
    problem
        "conv3x3" or "tconv2"; both if None.
    tiny
        On maps of a few pixels and 64 channels (on a GPU 4 images of 8x8x128): for tests.
    images, threads
        Other numbers of them than the program's own.
    seconds
        For which each problem is timed; the program's own if None.
    more_flags
        For the compiler.
    timeout
        Seconds after which the program is ended.
    tell
        Is told, line by line, what the program prints beside its results.

    Raises
    ------
    BuildError
        The file does not compile.
    FacegenError
        It cannot be built, crashes, takes too long, prints too much, or something else.
    """
    options: list[str] = ["--tiny"] if tiny else []
    given = {"problem": problem, "images": images, "threads": threads, "seconds": seconds}
    for name, value in given.items():
        if value is not None:
            options += [f"--{name}", str(value)]
    return run(build(source, more_flags), options, timeout, Path(source).name, tell)


def run(
    program: Path,
    options: Sequence[str],
    timeout: float = RUN_SECONDS,
    name: str | None = None,
    tell: Callable[[str], None] | None = None,
) -> list[Result]:
    """The results that a built program prints; errors call it `name`. See `build_and_run`."""
    name = name or program.name
    try:
        done = run_limited([str(program), *options], timeout)
    except subprocess.TimeoutExpired:
        raise FacegenError(f"{name}: took more than {timeout:g} s and was ended") from None
    said = done.output.splitlines()
    lines = [line for line in said if line.startswith('{"rung"')]
    errors = done.errors.strip()
    if tell is not None:
        beside = [line for line in said if not line.startswith('{"rung"')]
        tell_lines([*beside, *errors.splitlines()], tell)
        errors = ""
    if done.too_much:
        raise FacegenError(f"{name}: printed more than {MOST_BYTES:,} bytes and was ended")
    if done.crash:
        raise FacegenError(_with(f"{name}: {done.crash}", errors))
    if done.code not in (0, 1):
        raise FacegenError(_with(f"{name}: ended with exit code {done.code}", errors))
    results = [_read(name, line) for line in lines]
    if not results:
        raise FacegenError(_with(f"{name}: printed no result", errors))
    problems = [result.problem for result in results]
    for problem in problems:
        if problems.count(problem) > 1:
            count = problems.count(problem)
            raise FacegenError(f"{name}: printed {count} results of {problem}, expected 1")
    return results


def _with(message: str, errors: str) -> str:
    """A message, and the end of what the program wrote to its standard error."""
    return f"{message}: {errors[-_SHOWN:]}" if errors else message


def _read(program: str, line: str) -> Result:
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError):
        raise FacegenError(f"{program}: expected a line of JSON, found {_short(line)}") from None
    known = {}
    for name, (expected, is_valid) in _VALID.items():
        if name not in fields and name not in _NEEDED:
            continue
        known[name] = fields.get(name, "nothing")
        if not is_valid(known[name]):
            found = _short(known[name])
            raise FacegenError(f"{program}: {name}: expected {expected}, found {found}")
    return Result(**known, fields=fields)


def is_positive(value: Any) -> bool:
    """Whether it is a number above 0, and finite."""
    return type(value) in (int, float) and 0 < value < 1e300


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 < value < 1 << 31


def _is_word(value: Any) -> bool:
    return isinstance(value, str)


_NEEDED = ("rung", "problem", "verified")
_VALID: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "rung": ("a word", _is_word),
    "problem": (" or ".join(PROBLEMS), lambda value: value in PROBLEMS),
    "verified": ("true, false or null", lambda value: value is None or isinstance(value, bool)),
    **dict.fromkeys(
        ("ms", "gflops", "peak_gflops", "percent_of_peak"), ("a number above 0", is_positive)
    ),
    **dict.fromkeys(("threads", "images"), ("a count", _is_count)),
    **dict.fromkeys(("machine", "wrong", "not_timed"), ("words", _is_word)),
    **dict.fromkeys(
        ("error", "relative_error"),
        ("a number from 0", lambda value: value == 0 or is_positive(value)),
    ),
}


def _short(value: Any) -> str:
    text = ascii(value)
    return text if len(text) <= 200 else text[:197] + "..."
