"""facegen compare A B: do two results agree?"""

from __future__ import annotations

import click

from facegen.cli import options, terminal
from facegen.cli.terminal import counted


@click.command(
    "compare",
    epilog=options.examples(
        "facegen compare output.txt answer.txt",
        "facegen compare --tolerance 1e-4 output.bin answer.bin",
    ),
)
@click.argument("a", metavar="A", type=click.Path())
@click.argument("b", metavar="B", type=click.Path())
@click.option(
    "--tolerance",
    type=options.FiniteRange(min=0.0),
    default=1e-3,
    show_default=True,
    help="They agree where |a-b| or |a-b|/|b| is below it.",
)
@options.common
def command(a: str, b: str, tolerance: float) -> int:
    """Say whether the result A agrees with the answer B.

    Results are texts of faces, .bin files of float32, or .rgb files of 256x256x3 bytes. Where they
    differ, the first difference is named. Exit code 0 if they agree, 1 if not, 2 if one cannot be
    read.
    """
    import numpy as np

    from facegen.comparison import Difference, compare

    def values(difference: Difference) -> str:
        return f"{np.float32(difference.a)!s} against {np.float32(difference.b)!s}"

    result = compare(a, b, tolerance)
    if result.values_a != result.values_b:
        found = counted(result.values_a, "value")
        terminal.say(f"different: {a} holds {found}, {b} {result.values_b:,}")
        return 1
    if result.first is None:
        terminal.say(f"same: {counted(result.values_a, 'value')}")
    else:
        terminal.say(f"different: {result.differing:,} of {counted(result.values_a, 'value')}")
        terminal.say(f"first  : {result.place(result.first.at)}: {values(result.first)}")
    if result.largest is not None and result.largest.size != 0.0:
        size, place = result.largest.size, result.place(result.largest.at)
        terminal.say(f"largest: {size:.3g} at {place}: {values(result.largest)}")
    return 0 if result.same else 1
