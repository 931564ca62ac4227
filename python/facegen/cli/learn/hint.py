"""facegen learn hint N: the next hint of an exercise."""

from __future__ import annotations

import click

from facegen.cli import options, terminal


@click.command("hint", epilog=options.examples("facegen learn hint 1"))
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
    from facegen.learn.score import Entry, read_score, write_score

    exercise = find_exercise(number)
    score = read_score(Path.cwd(), {each.name for each in exercises()})
    entry = score.get(exercise.name, Entry())
    hints = [*exercise.hints, f"The solution is {exercise.solution}"]
    shown = min(entry.hints + 1, len(hints))
    for i, hint in enumerate(hints[:shown], start=1):
        for line in f"Hint {i} of {len(hints)}: {hint}".splitlines():
            terminal.say(line)
    score[exercise.name] = replace(entry, hints=shown)
    write_score(Path.cwd(), score)
