"""facegen lab conv: a convolution by every algorithm, on this machine."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from facegen.cli import options, terminal
from facegen.cli.lab import words
from facegen.files.standard import is_stdout

if TYPE_CHECKING:
    from facegen.lab.convolution import Case, Measured, Result

_MOST_CASES = 400
_MIB = 2**20


class Channels(click.ParamType):
    """Numbers of channels, in and out alike or IN:OUT, with commas between."""

    name = "channels"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if isinstance(value, tuple):
            return value
        pairs = []
        for word in value.split(","):
            match = re.fullmatch(r"(\d{1,7})(?::(\d{1,7}))?", word)
            if match is None or 0 in (pair := (int(match[1]), int(match[2] or match[1]))):
                self.fail(
                    f"expected channels as 64,128 or IN:OUT as 3:64, found {word!r}", param, ctx
                )
            pairs.append(pair)
        return tuple(dict.fromkeys(pairs))


@click.command(
    "conv",
    epilog=options.examples(
        "facegen lab conv",
        "facegen lab conv --size 56x56 --channels 64,128 --kernel 3",
        "facegen lab conv --size 224 --channels 3:64 --kernel 7 --stride 2 --padding 3",
        "facegen lab conv --kernel 1,3,5,7,9,11 --plot kernels.png",
        "facegen lab conv --channels 4,16,64,256 --kernel 1,3,5,7,11 --size 28 --plot map.png",
        "facegen lab conv --algorithm direct,winograd --threads 1 --json conv.json",
    ),
)
@click.option("--size", type=words.Size(), default="56x56", show_default=True, help="HEIGHTxWIDTH.")
@click.option(
    "--channels",
    type=Channels(),
    default="64",
    show_default=True,
    help="In and out alike, or IN:OUT; with commas, a sweep.",
)
@click.option(
    "--kernel",
    "kernels",
    type=words.Numbers(1, 255),
    default="3",
    show_default=True,
    help="Pixels a side; with commas, a sweep.",
)
@click.option("--stride", type=click.IntRange(1, 64), default=1, show_default=True)
@click.option("--padding", type=click.IntRange(0, 255), help="As keeps the size, if not given.")
@click.option(
    "--batch",
    "batches",
    type=words.Numbers(1, 4096),
    default="1",
    show_default=True,
    help="Images at once; with commas, a sweep.",
)
@click.option("--algorithm", "wanted", metavar="NAME,...", help="Some of them; all if not given.")
@words.measuring
def command(
    size: tuple[int, int], channels: tuple[tuple[int, int], ...], kernels: tuple[int, ...],
    stride: int, padding: int | None, batches: tuple[int, ...], wanted: str | None,
    measuring: words.Measuring,
) -> None:  # fmt: skip
    """Measure one convolution, or a sweep, by every algorithm in turns.

    \b
    ms, spread   median of several, and half of what their middle half spans
    GFLOP/s      by the definition: two a multiply-add, padding left out
    done         GFLOP/s of the multiplications that were done: Winograd's and FFT's are fewer
    of peak      the latter, by multiply-adds in registers measured at the same time
    scratch      memory beside input and output of an image; weights: as the algorithm keeps them
    error        largest against float64, by the largest output

    Of a sweep the table has times alone, the first with a star; --json has everything. --plot draws
    times by what was swept, or, where channels and kernels were, a map of who is first; and a
    roofline.
    """
    from facegen.kernels.algorithms import ALGORITHMS
    from facegen.lab import convolution, machine

    algorithms = _algorithms(wanted, ALGORITHMS)
    cases = [
        convolution.Case(*size, *pair, kernel, stride, padding, batch)
        for pair, kernel, batch in itertools.product(channels, kernels, batches)
    ]
    if len(cases) > _MOST_CASES:
        raise click.UsageError(f"expected up to {_MOST_CASES} layers, found {len(cases):,}")
    convolution.check(cases)
    found = []
    with words.progress(len(cases), "layer") as advance:
        for case in cases:
            found.append(
                convolution.measure(
                    case, measuring.threads, measuring.seconds, measuring.clock, algorithms
                )
            )
            advance(1)
    copy_gbs = machine.copy_rate(measuring.threads, measuring.clock)
    described = {**measuring.describe(), "copy_gb_per_s": copy_gbs}
    layers = [_report(measured) for measured in found]
    options.write_report(measuring.json, {"machine": described, "layers": layers})
    if measuring.plot:
        from facegen.lab.plots import convolutions

        convolutions.draw(found, copy_gbs, measuring.plot)
    if is_stdout(measuring.json):
        return
    words.say_machine(described)
    if len(found) == 1:
        _say_one(found[0])
    else:
        _say_sweep(found)


def _algorithms(wanted: str | None, all_: Sequence[Any]) -> list[Any]:
    """Those that --algorithm names, in the list's order."""
    if wanted is None:
        return list(all_)
    names = wanted.split(",")
    known = [algorithm.name for algorithm in all_]
    for name in names:
        if name not in known:
            raise click.BadParameter(
                f"expected some of {', '.join(known)}, found {name!r}", param_hint="'--algorithm'"
            )
    return [algorithm for algorithm in all_ if algorithm.name in names]


def _say_one(measured: Measured) -> None:
    case = measured.case
    terminal.say(
        f"{case}: {case.gflop:.3f} GFLOP, {case.intensity:.1f} FLOP/byte, peak "
        f"{measured.peak_gflops:.1f} GFLOP/s"
    )
    headers = ["algorithm", "ms", "spread", "GFLOP/s", "done", "of peak", "scratch MiB",
               "weights MiB", "error"]  # fmt: skip
    rows = [_row(result) for result in measured.results if result.times]
    words.say_table(headers, rows)
    for result in measured.results:
        if result.why_not:
            terminal.say(f"{result.algorithm}: {result.why_not}")


def _row(result: Result) -> list[str]:
    assert result.times is not None
    wrong = "" if result.of_tolerance <= 1 else " (beyond its bound)"
    return [
        result.algorithm,
        *words.time_cells(result.times),
        f"{result.gflops:.1f}",
        f"{result.done_gflops:.1f}",
        f"{100 * result.peak_share:.0f}%",
        f"{result.scratch_bytes / _MIB:.2f}",
        f"{result.weight_bytes / _MIB:.2f}",
        f"{result.error:.1e}{wrong}",
    ]


def _say_sweep(found: Sequence[Measured]) -> None:
    names = [result.algorithm for result in found[0].results]
    rows = []
    for measured in found:
        cells = [
            "-"
            if result.times is None
            else f"{1e3 * result.times.median:.3f}{'*' if result is measured.winner else ' '}"
            for result in measured.results
        ]
        rows.append([str(measured.case), f"{measured.case.gflop:.3f}", *cells])
    words.say_table(["ms", "GFLOP", *(f"{name} " for name in names)], rows)
    reasons = {
        f"{result.algorithm}: {result.why_not}": None
        for measured in found
        for result in measured.results
        if result.why_not
    }
    for reason in reasons:
        terminal.say(reason)


def _report(measured: Measured) -> dict[str, Any]:
    return {
        "layer": _layer(measured.case),
        "gflop": measured.case.gflop,
        "flop_per_byte": measured.case.intensity,
        "peak_gflops": measured.peak_gflops,
        "first": measured.winner.algorithm if measured.winner else None,
        "results": [
            {"algorithm": result.algorithm, "why_not": result.why_not}
            if result.times is None
            else {
                "algorithm": result.algorithm,
                **words.times_report(result.times),
                "gflops": result.gflops,
                "done_gflops": result.done_gflops,
                "peak_share": result.peak_share,
                "multiplications": result.multiplications,
                "scratch_bytes": result.scratch_bytes,
                "weight_bytes": result.weight_bytes,
                "error": result.error,
                "error_of_tolerance": result.of_tolerance,
            }
            for result in measured.results
        ],
    }


def _layer(case: Case) -> dict[str, Any]:
    return {
        "size": [case.height, case.width],
        "in_channels": case.in_channels,
        "out_channels": case.out_channels,
        "kernel": case.kernel,
        "stride": case.stride,
        "padding": case.padding,
        "batch": case.batch,
    }
