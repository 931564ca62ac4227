"""Checks a learner's file: built, verified, timed, and compared with the rung to reach."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from facegen.errors import FacegenError
from facegen.files.atomic import AtomicFile
from facegen.learn.build import BuildError
from facegen.learn.compilers import has_compiler
from facegen.learn.course import PROBLEMS, find_rung
from facegen.learn.emulation import emulated
from facegen.learn.exercises import Exercise
from facegen.learn.gpu import has_gpu
from facegen.learn.process import MOST_BYTES, run_limited, tell_lines
from facegen.learn.run import Result, build_and_run, is_positive

PYTHON_SECONDS = 300.0  # after which a file of Python is ended
TINY_SECONDS = 60.0  # and a program on a few pixels, which takes well under a second
_GPU_IMAGES = 32
_TURNS = 3
_LONG_MS = 200.0  # of what takes longer, and is run three times a turn, one turn says enough
_MOST_FILE_BYTES = 1 << 20


@dataclass(frozen=True)
class Verdict:
    """What a check found.

    Attributes
    ----------
    right
        All that was verified is as it should be.
    wrong
        What is not; where it is.
    ms, rung_ms, ratio
        The least times, and the second by the first; None where nothing is timed.
    fast
        Whether the ratio is reached; True where none is asked for.
    note
        Why nothing was timed.
    """

    right: bool
    wrong: str = ""
    ms: float | None = None
    rung_ms: float | None = None
    ratio: float | None = None
    fast: bool = False
    note: str = ""


def start(exercise: Exercise, place: Path) -> Path:
    """Write the file with the hole into a folder.

    Raises
    ------
    FacegenError
        It is there already: a learner's work is never replaced.
    OSError
        It cannot be written.
    """
    path = place / exercise.file
    if os.path.lexists(path):
        raise FacegenError(f"{path}: exists; to begin anew, move it away")
    with AtomicFile(path) as file:
        file.write(exercise.source.read_bytes())
    return path


def check(
    exercise: Exercise, path: Path, seconds: float = 0.5, tell: Callable[[str], None] = print
) -> Verdict:
    """Verify and time a learner's file.

    Parameters
    ----------
    exercise
        Whose hole was to be filled.
    path
        The learner's file.
    seconds
        For which each program of C++ and CUDA is timed a turn.
    tell
        Is told, in a line, what is at work; and what the file's own code prints.

    Raises
    ------
    FacegenError
        The file is missing, as it was handed out, does not compile, crashes, or takes too long; or
        what builds it is missing.
    """
    _check_begun(exercise, path)
    if exercise.language == "Python":
        return _check_python(exercise, path, tell)
    source = path
    note = ""
    if exercise.language == "CUDA" and not (has_gpu() and has_compiler(".cu")):
        lacks = "nvcc" if has_gpu() else "GPU"
        note = f"no {lacks} here: verified on the CPU, thread by thread, and not timed"
        source = emulated(path)
    tell(f"{path.name}: is it right? (a few pixels)")
    try:
        results = build_and_run(source, tiny=True, seconds=0.01, timeout=TINY_SECONDS, tell=tell)
    except BuildError as error:
        raise BuildError(path, error.output) from None  # of the learner's file, not of a copy
    for result in results:
        if result.verified is not True:
            return Verdict(False, _wrong(result))
    if note:
        return Verdict(True, note=note)
    if exercise.target is None:
        return Verdict(True, fast=True)
    return _compare(exercise, path, seconds, tell)


def _check_begun(exercise: Exercise, path: Path) -> None:
    if not path.is_file() and os.path.lexists(path):
        raise FacegenError(f"{path}: is no file; move it away, and begin anew")
    if not path.is_file():
        raise FacegenError(
            f"{path}: there is no such file (facegen learn start {exercise.number} writes it)"
        )
    if path.stat().st_size > _MOST_FILE_BYTES:
        raise FacegenError(f"{path}: expected a source file, found one of over 1 MiB")
    if path.read_bytes() == exercise.source.read_bytes():
        lines = exercise.source.read_text(encoding="utf-8").splitlines()
        hole = next(i for i, line in enumerate(lines, 1) if "YOUR CODE" in line)
        raise FacegenError(
            f"{path}: line {hole}: the hole is as it was "
            f"(facegen learn hint {exercise.number} helps to begin)"
        )


def _compare(
    exercise: Exercise, path: Path, seconds: float, tell: Callable[[str], None]
) -> Verdict:
    """The learner's program and the rung in turns, the least time of each."""
    target = exercise.target
    assert target is not None
    assert target.problem in PROBLEMS
    rung = find_rung(target.rung)
    # Rungs of the GPU need many images to have work for all of it.
    images = _GPU_IMAGES if exercise.language == "CUDA" else None
    least = {path: float("inf"), rung.source: float("inf")}
    for turn in range(_TURNS):
        for source in least:
            tell(f"{source.name}: how fast is it? ({turn + 1} of {_TURNS})")
            results = build_and_run(
                source, problem=target.problem, seconds=seconds / _TURNS, images=images
            )
            if len(results) != 1:
                raise FacegenError(f"{source}: expected 1 result, found {len(results)}")
            result = results[0]
            if result.verified is False:
                return Verdict(False, _wrong(result))
            if result.ms is None:
                return Verdict(True, note=result.not_timed)
            least[source] = min(least[source], result.ms)
        if min(least.values()) > _LONG_MS:
            break
    own, theirs = least[path], least[rung.source]
    ratio = theirs / own
    return Verdict(True, ms=own, rung_ms=theirs, ratio=ratio, fast=ratio >= target.ratio)


def _wrong(result: Result) -> str:
    return f"{result.problem}: {result.wrong or result.not_timed}"


def _check_python(exercise: Exercise, path: Path, tell: Callable[[str], None]) -> Verdict:
    # -B: nothing but the file and the score lies in the learner's folder.
    command = [sys.executable, "-B", "-m", "facegen.learn.python_exercise"]
    tell(f"{path.name}: is it right?")
    try:
        done = run_limited([*command, str(exercise.check), str(path)], PYTHON_SECONDS)
    except subprocess.TimeoutExpired:
        raise FacegenError(f"{path}: took more than {PYTHON_SECONDS:g} s and was ended") from None
    lines = done.output.splitlines()
    last = lines.pop() if lines and lines[-1].startswith('{"verified"') else ""
    tell_lines([line for line in (*lines, *done.errors.splitlines()) if line], tell)
    if done.too_much:
        raise FacegenError(f"{path}: printed more than {MOST_BYTES:,} bytes and was ended")
    if done.crash:
        raise FacegenError(f"{path}: {done.crash}")
    try:
        report = json.loads(last)
        right, wrong = report["verified"], report["wrong"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise FacegenError(
            f"{path}: ended with exit code {done.code} before all of it was verified"
        ) from None
    if not isinstance(right, bool):
        raise FacegenError(f"{path}: verified: expected true or false, found {ascii(right)[:60]}")
    if not right:
        return Verdict(False, str(wrong))
    if exercise.target is None:
        return Verdict(True, fast=True)
    own, plain = report.get("seconds"), report.get("plain_seconds")
    if not (is_positive(own) and is_positive(plain)):
        raise FacegenError(f"{path}: expected two times above 0, found {ascii((own, plain))[:60]}")
    ratio = plain / own
    fast = ratio >= exercise.target.ratio
    return Verdict(True, ms=own * 1e3, rung_ms=plain * 1e3, ratio=ratio, fast=fast)
