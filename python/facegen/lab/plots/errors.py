"""Errors of dot products by length."""

from __future__ import annotations

from collections.abc import Sequence

from facegen.lab.plots import canvas
from facegen.lab.precision import Errors


def draw(found: Sequence[Errors], path: str) -> None:
    """Error against length, a line a format."""
    figure, ((axes,),) = canvas.figure(width=7.2, height=4.2)
    for i, each in enumerate(found):
        lengths, values = list(each.by_length), list(each.by_length.values())
        marker, colour = canvas.MARKERS[i % 8], canvas.COLOURS[i % 8]
        style = "--" if "stochastic" in each.name else "-"
        axes.loglog(
            lengths, values, style, marker=marker, color=colour, label=each.name, markersize=5
        )
    canvas.plain(axes, "error of a dot product", "products that are summed", "relative error")
    axes.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    canvas.save(figure, path)
