"""facegen colorizer compbin A B: do two results agree?"""

from __future__ import annotations

import click

from facegen.cli import options, terminal
from facegen.cli.terminal import counted

ACCEPTED = 0.001


@click.command(
    "compbin", epilog=options.examples("facegen colorizer compbin output.bin answer.bin")
)
@click.argument("a", metavar="A", type=click.Path())
@click.argument("b", metavar="B", type=click.Path())
@options.common
def command(a: str, b: str) -> int:
    """Print the largest difference of two files of a and b; up to 0.001 is accepted.

    Exit code 0 if it is, 1 if not, 2 if a file cannot be read.
    """
    from facegen.comparison import compare
    from facegen.media.colorization import SIDE
    from facegen.media.lab_planes import AbReader

    for path in (a, b):
        AbReader(path).close()  # says what is wrong with its size
    result = compare(a, b, kind="float32")
    if result.largest is None:
        found = counted(result.values_a, "value")
        terminal.say(f"different: {a} holds {found}, {b} {result.values_b:,}")
        return 1
    accepted = result.largest.size <= ACCEPTED
    terminal.say(f"Max difference: {result.largest.size:.9f}")
    if not accepted:
        plane_index, pixel = divmod(result.largest.at, SIDE * SIDE)
        picture, plane = divmod(plane_index, 2)
        row, column = divmod(pixel, SIDE)
        terminal.say(
            f"not accepted: above {ACCEPTED} at row {row}, column {column} of plane "
            f"{'ab'[plane]} of picture {picture}: {result.largest.a:.6g} against "
            f"{result.largest.b:.6g}"
        )
    return 0 if accepted else 1
