"""facegen learn check N: is a learner's file right, and how fast is it?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from facegen.cli import options, terminal
from facegen.cli.options import FiniteRange

if TYPE_CHECKING:
    from facegen.learn.check import Verdict
    from facegen.learn.exercises import Exercise


@click.command(
    "check",
    epilog=options.examples(
        "facegen learn check 1               after each change",
        "facegen learn check 4 --seconds 5   timed for longer: steadier",
    ),
)
@click.argument("number", metavar="N", type=click.IntRange(1, 99))
@click.option(
    "--seconds",
    type=FiniteRange(0, 60, min_open=True),
    default=1.0,
    show_default=True,
    help="For which each program of C++ or CUDA is timed.",
)
@options.common
def command(number: int, seconds: float) -> int:
    """Build, verify and time your file of exercise N, which is in this folder.

    Its speed is compared with that of a rung of the ladder (cpu/01 is the first program of
    facegen learn ladder cpu), in turns on this machine. What your file prints is shown while it is
    verified. The score is kept in facegen-score.json. Exit code 0 where the file is right and fast
    enough, 1 where not, 2 where it does not compile, crashes or does not end. Files of CUDA are
    verified on the CPU where there is no GPU, and not timed.
    """
    from pathlib import Path

    from facegen.learn.check import check
    from facegen.learn.exercises import exercises, find_exercise
    from facegen.learn.score import read_score, update_score

    exercise = find_exercise(number)
    place = Path.cwd()
    names = {each.name for each in exercises()}
    read_score(place, names)  # a damaged one is said before the work
    verdict = check(exercise, Path(exercise.file), seconds, terminal.progressed)
    entry = update_score(
        place,
        names,
        exercise.name,
        lambda entry: entry.checked(verdict.right, verdict.fast, verdict.ratio),
    )
    _say(exercise, verdict)
    if verdict.right and (verdict.fast or verdict.note):
        more = f"; next: facegen learn start {number + 1}" if number < len(names) else ""
        terminal.say(f"{entry.points} of 2 points{more}")
    return 0 if verdict.right and (verdict.fast or verdict.note) else 1


def _say(exercise: Exercise, verdict: Verdict) -> None:
    if not verdict.right:
        terminal.say(f"wrong: {verdict.wrong}")
        terminal.say(f"a hint: facegen learn hint {exercise.number}")
        return
    if verdict.note:
        terminal.say(f"right; {verdict.note}")
        return
    if verdict.ratio is None or exercise.target is None:
        terminal.say("right")
        return
    target = exercise.target
    than = "the plain way" if target.problem is None else f"{target.rung} on {target.problem}"
    terminal.say(
        f"right: {verdict.ms:.3f} ms, {verdict.ratio:.2f} times as fast as {than} "
        f"({verdict.rung_ms:.3f} ms); to reach: {target.ratio:g}"
    )
    if not verdict.fast:
        terminal.say(f"not fast enough yet; a hint: facegen learn hint {exercise.number}")
