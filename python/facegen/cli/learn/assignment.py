"""facegen learn assignment PROJECT: a project of the course, to hand out."""

from __future__ import annotations

import click

from facegen.cli import options, terminal

PROJECTS = ("facegen", "colorizer", "pix2pix")


@click.command(
    "assignment",
    epilog=options.examples(
        "facegen learn assignment facegen -o facegen.tar",
        "facegen learn assignment pix2pix --seed 2027 --pictures 8 -o pix2pix.tar",
        "tar xf facegen.tar && cd facegen && make check && make grade",
    ),
)
@click.argument("project", metavar="PROJECT", type=click.Choice(PROJECTS))
@click.option("-o", "--output", metavar="FILE.tar", type=click.Path(), required=True)
@click.option(
    "--pictures",
    type=click.IntRange(1, 1024),
    help="In the last input; the sequential program takes seconds to minutes if not given.",
)
@click.option(
    "--seed",
    type=click.IntRange(0, 2**31),
    default=0,
    show_default=True,
    help="Of inputs and random weights: another one for another year.",
)
@options.overwrite
@options.common
def command(project: str, output: str, pictures: int | None, seed: int, overwrite: bool) -> None:
    """Write one of the course's projects as a tar to give to students.

    PROJECT is facegen, colorizer or pix2pix. In the tar are a program that works and is slow, the
    weights (network.bin), inputs, answers, a program that compares, a Makefile, and grade.py, which
    says of one submission or of a whole class's what is right and how fast, and gives points.
    Students need a C++ compiler, make and Python, and nothing of facegen's.
    """
    if not output.lower().endswith(".tar"):
        raise click.UsageError(f"{output}: a project is a tar: expected a name with .tar")
    options.check_output(output, overwrite)

    from facegen.learn.assignment import write_assignment

    terminal.progressed(f"{project}: weights, inputs and answers")
    members = write_assignment(project, output, pictures, seed)
    terminal.say(f"{output}: {len(members)} files ({', '.join(members)})")
