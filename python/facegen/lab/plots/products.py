"""Rates of products of matrices by size."""

from __future__ import annotations

from collections.abc import Sequence

from facegen.lab.gemm import Measured
from facegen.lab.plots import canvas


def draw(measured: Sequence[Measured], path: str) -> None:
    """GFLOP/s of every way, and the machine's peak."""
    figure, ((axes,),) = canvas.figure()
    sizes = range(len(measured))
    names = list(dict.fromkeys(result.way for each in measured for result in each.results))
    for i, name in enumerate(names):  # of the largest sizes some ways are left out
        found = [
            (at, result.gflops)
            for at, each in enumerate(measured)
            for result in each.results
            if result.way == name
        ]
        style = {"marker": canvas.MARKERS[i], "color": canvas.COLOURS[i]}
        axes.plot(*zip(*found, strict=True), "-", label=name, **style)
    peaks = [each.peak_gflops for each in measured]
    axes.plot(sizes, peaks, "--", color="#444444", label="peak of multiply-adds")
    axes.set_xticks(sizes, [str(each.size) for each in measured], rotation=30, fontsize=8)
    axes.set_ylim(bottom=0)
    canvas.plain(axes, "products of matrices", "m x n x k", "GFLOP/s")
    axes.legend(frameon=False, fontsize=8)
    canvas.save(figure, path)
