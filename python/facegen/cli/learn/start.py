"""facegen learn start N: the file of an exercise."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from facegen.cli import options, terminal

if TYPE_CHECKING:
    from facegen.learn.exercises import Target

# Of course/common/problem.h, in words.
_LAYERS = {
    "conv3x3": "a 3x3 convolution, 32x32x256 to 32x32x256",
    "tconv2": "DCGAN's second transposed convolution, 8x8x256 to 16x16x128",
}


@click.command(
    "start",
    epilog=options.examples("facegen learn start 1    C++", "facegen learn start 12   Python"),
)
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
        terminal.say(f"Speed to reach: {target.ratio:g} times that of {_told(target)}.")
    terminal.say(f"Your file: {path}")
    if exercise.language != "Python":
        terminal.say(f"What it includes is in {folder() / 'common'}; facegen finds it by itself.")
    terminal.say(f"Then: facegen learn check {number} (a hint: facegen learn hint {number})")


def _told(target: Target) -> str:
    """What the speed is compared with, where a newcomer can open it."""
    if target.problem is None:
        return "the plain way"
    from facegen.learn.course import find_rung

    rung = find_rung(target.rung).source
    program = f"{rung.parent.name}/{rung.name}"
    return f"the ladder's {program} on {target.problem} ({_LAYERS[target.problem]})"
