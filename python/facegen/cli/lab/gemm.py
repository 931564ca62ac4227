"""facegen lab gemm: products of matrices, the package's beside NumPy's."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import click

from facegen.cli import options
from facegen.cli.lab import words
from facegen.files.standard import is_stdout

if TYPE_CHECKING:
    from facegen.lab.gemm import Measured

_MOST = 1 << 20


@click.command(
    "gemm",
    epilog=options.examples(
        "facegen lab gemm",
        "facegen lab gemm --size 64,128,256,512,1024 --plot gemm.png",
        "facegen lab gemm --size 3136x128x576    a 3x3 of 64 channels over 56x56, as im2col has it",
        "facegen lab gemm --threads 1 --json gemm.json",
    ),
)
@click.option(
    "--size",
    "sizes",
    default="64,256,512,1024",
    show_default=True,
    metavar="N|MxNxK,...",
    help="(m, k) times (k, n), or one number for all three; several are a sweep.",
)
@words.measuring
def command(sizes: str, measuring: words.Measuring) -> None:
    """Measure products of matrices: time, GFLOP/s, share of the peak, error against float64.

    The peak is that of multiply-adds in registers, measured at the same time.

    \b
    matmul naive     three loops; left out above 0.5 GFLOP
    matmul blocked   blocked for caches and registers
    matmul strassen  7 products of halves instead of 8; GFLOP/s are by the definition's count
    linear layer     as the engine has it: the second factor is packed once, before the time is
                     taken, as a network's weights are
    NumPy            its BLAS gets as many threads, where it is not loaded yet
    """
    from facegen.lab import gemm

    wanted = [gemm.Size(*triple) for triple in _triples(sizes)]
    gemm.check(wanted)
    found = []
    with words.progress(len(wanted), "size") as advance:
        for size in wanted:
            found.append(gemm.measure(size, measuring.threads, measuring.seconds, measuring.clock))
            advance(1)
    machine = measuring.describe()
    report = {"machine": machine, "sizes": [_report(each) for each in found]}
    options.write_report(measuring.json, report)
    if measuring.plot:
        from facegen.lab.plots import products

        products.draw(found, measuring.plot)
    if is_stdout(measuring.json):
        return
    words.say_machine(machine)
    rows = [
        [
            str(each.size),
            result.way,
            *words.time_cells(result.times),
            f"{result.gflops:.1f}",
            f"{100 * result.peak_share:.0f}%",
            f"{result.error:.1e}",
        ]
        for each in found
        for result in each.results
    ]
    headers = ["m x n x k", "by", "ms", "spread", "GFLOP/s", "of peak", "error"]
    words.say_table(headers, rows, left=2)


def _triples(text: str) -> list[tuple[int, int, int]]:
    triples = []
    for word in text.split(","):
        match = re.fullmatch(r"(\d{1,9})(?:x(\d{1,9})x(\d{1,9}))?", word)
        numbers = [int(n) for n in match.groups() if n] if match else []
        if not numbers or not all(1 <= n <= _MOST for n in numbers):
            raise click.BadParameter(
                f"expected numbers from 1 to {_MOST:,} as 256,512 or MxNxK as 3136x128x576, "
                f"found {word!r}", param_hint="'--size'",
            )  # fmt: skip
        m, n, k = numbers if len(numbers) == 3 else numbers * 3
        triples.append((m, n, k))
    if len(triples) > words.MOST_LISTED or len(set(triples)) < len(triples):
        most = f"up to {words.MOST_LISTED} different sizes"
        raise click.BadParameter(f"expected {most}, found {text!r}", param_hint="'--size'")
    return triples


def _report(each: Measured) -> dict[str, Any]:
    return {
        "m": each.size.m,
        "n": each.size.n,
        "k": each.size.k,
        "peak_gflops": each.peak_gflops,
        "results": [
            {
                "by": result.way,
                **words.times_report(result.times),
                "gflops": result.gflops,
                "peak_share": result.peak_share,
                "error": result.error,
            }
            for result in each.results
        ],
    }
