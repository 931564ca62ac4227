"""facegen lab precision: errors of dot products by the format of their numbers."""

from __future__ import annotations

import click

from facegen.cli import options, terminal
from facegen.cli.lab import words
from facegen.files.standard import is_stdout


@click.command(
    "precision",
    epilog=options.examples(
        "facegen lab precision",
        "facegen lab precision --length 16,256,4096,65536 --plot precision.png",
        "facegen lab precision --values normal --fixed 4,12",
        "facegen lab precision --seed 7 --json precision.json",
    ),
)
@click.option(
    "--length",
    "lengths",
    type=words.Numbers(1, 1 << 17),
    default="16,64,256,1024,4096",
    show_default=True,
    help="Products that are summed, a sweep: up to 131,072.",
)
@click.option(
    "--values",
    type=click.Choice(["positive", "normal"]),
    default="positive",
    show_default=True,
    help="Uniform from 0 to 1, whose sums grow; or normal, whose sums wander around 0.",
)
@click.option(
    "--fixed",
    type=words.Numbers(0, 24, count=2),
    default="16,8",
    show_default=True,
    metavar="IL,FL",
    help="Bits of fixed point before the point, the sign with them, and behind it.",
)
@click.option("--seed", type=click.IntRange(0, 2**32), default=0, show_default=True)
@options.json_report
@words.plot
@options.overwrite
@options.common
def command(
    lengths: tuple[int, ...], values: str, fixed: tuple[int, ...], seed: int, json_: str | None,
    plot: str | None, overwrite: bool,
) -> None:  # fmt: skip
    """Say how far dot products are off against float64, by format and length.

    \b
    float32                 one after the other
    float16, bfloat16       factors and every running sum rounded to it, to the nearest
    ..., stochastic         sums up or down at random, right on average (Gupta et al. 2015)
    ..., float32 sums       as matrix units do: only the factors are rounded
    fixed <IL,FL>           fixed point: multiples of 2^-FL, from -2^(IL-1) on
    float32, in pairs       sums of sums, a tree: NumPy's

    Once a sum is so large that half of its last digit is more than what is added, rounding to the
    nearest loses all that comes: bfloat16 stops growing. Stochastic rounding goes on.

    Errors are root mean squares over 32 dot products, relative to the sum; of normal numbers, whose
    sum may be next to 0, relative to the square root of the length.
    """
    words.check_outputs(json_, plot, overwrite)
    from facegen import FacegenError
    from facegen.lab import precision

    whole, fraction = fixed
    try:
        count = len(precision.formats(whole, fraction))
    except ValueError as error:
        raise FacegenError(f"--fixed: {error}") from None
    lengths = tuple(sorted(lengths))
    with words.progress(count, "format") as advance:
        found = precision.errors(lengths, values, whole, fraction, seed, advance)
    report = {
        "values": values,
        "seed": seed,
        "errors": {each.name: {str(k): e for k, e in each.by_length.items()} for each in found},
    }
    options.write_report(json_, report)
    if plot:
        from facegen.lab.plots import errors

        errors.draw(found, plot)
    if is_stdout(json_):
        return
    terminal.say(f"relative error of dot products of {values} numbers")
    rows = [[each.name, *(f"{e:.1e}" for e in each.by_length.values())] for each in found]
    words.say_table(["format", *(f"K = {k:,}" for k in lengths)], rows)
