"""facegen learn COMMAND: what one learns from, one file a command."""

from __future__ import annotations

import click

from facegen.cli import options
from facegen.cli.lazy import LazyGroup

COMMANDS = {
    "ladder": "Climb from seven naive loops to facegen's own kernel.",
    "list": "List the exercises, and your score.",
    "start": "Write the file of an exercise, and say what is to do.",
    "hint": "Print the next hint of an exercise.",
    "check": "Say whether your file is right, and how fast.",
    "assignment": "Write a project of the course to hand out.",
}


@click.group(
    "learn",
    cls=LazyGroup,
    package="facegen.cli.learn",
    summaries=COMMANDS,
    epilog=options.examples(
        "facegen learn list",
        "facegen learn start 1                    writes a file with a hole in it",
        "facegen learn check 1                    is what you wrote right, and how fast?",
        "facegen learn ladder cpu --plot cpu.png",
        "facegen learn assignment facegen -o facegen.tar",
    ),
)
def command() -> None:
    """Learn how such kernels are written, by programs of the folder `course`.

    They are small, build with one command each, and say what they are out to gain. Each command has
    a help of its own, and takes --quiet, --verbose and --debug.
    """
