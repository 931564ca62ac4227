"""facegen learn start N: the file of an exercise."""

from __future__ import annotations

import click

from facegen.cli import options, terminal


@click.command("start", epilog=options.examples("facegen learn start 1"))
@click.argument("number", metavar="N", type=click.IntRange(1, 99))
@options.common
def command(number: int) -> None:
    """Write the file of exercise N into this folder, and say what is to do.

    In the file is a hole, between YOUR CODE and END. facegen learn check N says whether what you
    write there is right, and how fast. A file that exists is never replaced.
    """
    from pathlib import Path

    from facegen.learn.check import start
    from facegen.learn.course import folder
    from facegen.learn.exercises import find_exercise

    exercise = find_exercise(number)
    path, text = start(exercise, Path()), exercise.text
    for line in (f"{number}. {exercise.title} ({exercise.language})", "", *text.splitlines(), ""):
        terminal.say(line)
    if (target := exercise.target) is not None:
        of = "the plain way" if target.problem is None else f"{target.rung} on {target.problem}"
        terminal.say(f"Speed to reach: {target.ratio:g} times that of {of}.")
    terminal.say(f"Your file: {path}")
    if exercise.language != "Python":
        terminal.say(f"What it includes is in {folder() / 'common'}; facegen finds it by itself.")
    terminal.say(f"Then: facegen learn check {number} (a hint: facegen learn hint {number})")
