"""facegen learn ladder: all rungs of a staircase, with the product and the ceiling beside them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from facegen.cli import options, terminal
from facegen.cli.options import FiniteRange

if TYPE_CHECKING:
    from facegen.learn.ladder import Ladder, Panel, Row


@click.command(
    "ladder",
    epilog=options.examples(
        "facegen learn ladder",
        "facegen learn ladder cpu --problem tconv2 --plot tconv2.png",
        "facegen learn ladder gpu --json gpu.json",
        "facegen learn ladder --tiny   is every rung right? (a few pixels)",
    ),
)
@click.argument("staircase", type=click.Choice(["cpu", "gpu"]), default="cpu")
@click.option(
    "--problem",
    type=click.Choice(["conv3x3", "tconv2"]),
    help="One of the two layers; both if not given.",
)
@click.option(
    "--seconds",
    type=FiniteRange(0, 60, min_open=True),
    default=0.5,
    show_default=True,
    help="For which each rung is timed on each layer.",
)
@click.option(
    "--threads",
    type=click.IntRange(1, 4096),
    help="Of rungs that use several (cpu): 1 where others use the machine as well.",
)
@click.option("--tiny", is_flag=True, help="Verify on a few pixels; compare nothing.")
@click.option("--no-peers", is_flag=True, help="Time the rungs alone.")
@click.option("--plot", metavar="FILE", help="Draw the staircase: a .png, .svg or .pdf.")
@options.json_report
@options.overwrite
@options.common
def command(
    staircase: str,
    problem: str | None,
    seconds: float,
    threads: int | None,
    tiny: bool,
    no_peers: bool,
    plot: str | None,
    json_: str | None,
    overwrite: bool,
) -> int:
    """Build, verify and time each rung of a staircase, and print what each of them gains.

    The first rung is the definition of a convolution in seven loops, the last ones are how facegen
    computes it. Beside them stand facegen's own kernels, PyTorch where it is installed, and the
    most that the machine can multiply: on a CPU as it is measured, on a GPU by the H200's data
    sheet. The programs are in the folder that the last line names. They need a C++ compiler (cpu),
    or a GPU and CUDA's (gpu); the last three of the GPU's are made for Hopper alone. One that fails
    is a line that says why, and the exit code is 1.
    """
    from facegen.cli.lab import words
    from facegen.learn.course import PROBLEMS, folder
    from facegen.learn.ladder import climb

    words.check_outputs(json_, plot, overwrite)
    ladder = climb(
        staircase,
        (problem,) if problem else PROBLEMS,
        seconds=seconds,
        threads=threads,
        tiny=tiny,
        peers=not no_peers,
        tell=terminal.progressed,
    )
    for panel in ladder.panels:
        _print_panel(panel)
    terminal.say(f"machine: {ladder.machine}; programs: {folder() / staircase}")
    _write(ladder, plot, json_)
    if not ladder.right:
        terminal.fail("a rung is wrong")
    return 0 if ladder.right else 1


def _print_panel(panel: Panel) -> None:
    head = f"{'threads':>8}{'ms':>11}{'GFLOP/s':>11}{'peak':>11}{'% of it':>9}"
    terminal.say("")
    terminal.say(f"{panel.problem:<26}{head}")
    for row in panel.rows:
        terminal.say(_line(row))


def _line(row: Row) -> str:
    begin = f"{row.name:<26}{row.threads or '':>8}"
    if row.ms is None or row.gflops is None:
        return f"{begin}   {row.note}"
    ceiling = ""
    if row.peak_gflops is not None and row.percent_of_peak is not None:
        ceiling = f"{row.peak_gflops:>11.1f}{row.percent_of_peak:>9.1f}"
    return f"{begin}{row.ms:>11.3f}{row.gflops:>11.1f}{ceiling}   {row.note}".rstrip()


def _write(ladder: Ladder, plot: str | None, json_: str | None) -> None:
    from dataclasses import asdict
    from datetime import date
    from pathlib import Path

    today = date.today().isoformat()
    options.write_report(json_, {"date": today, **asdict(ladder)})
    if plot is not None:
        from facegen.learn.plot import plot as draw

        draw(ladder, Path(plot), f"{ladder.machine}, {today}")
        terminal.say(f"{plot}: the staircase as a picture")
