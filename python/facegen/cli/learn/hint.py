"""facegen learn hint N: the next hint of an exercise."""

from __future__ import annotations

import click

from facegen.cli import options, terminal


@click.command("hint", epilog=options.examples("facegen learn hint 1   again for the next one"))
@click.argument("number", metavar="N", type=click.IntRange(1, 99))
@options.common
def command(number: int) -> None:
    """Print the hints of exercise N so far, and one more.

    The last one says where the solution is. How many were asked for is kept in the score, and costs
    nothing.
    """
    from dataclasses import replace
    from pathlib import Path

    from facegen.learn.exercises import exercises, find_exercise
    from facegen.learn.score import update_score

    exercise = find_exercise(number)
    hints = [*exercise.hints, f"The solution is {exercise.solution}"]
    entry = update_score(
        Path.cwd(),
        {each.name for each in exercises()},
        exercise.name,
        lambda entry: replace(entry, hints=min(entry.hints + 1, len(hints))),
    )
    for i, hint in enumerate(hints[: entry.hints], start=1):
        for line in f"Hint {i} of {len(hints)}: {hint}".splitlines():
            terminal.say(line)
