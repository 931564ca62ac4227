"""A staircase as a picture: a bar a rung, the product beside them, the ceilings as lines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from facegen.lab.plots import canvas
from facegen.learn.ladder import Ladder, Panel

_RUNG, _OURS, _OTHERS, _CEILING = "#7ba3b8", "#d1495b", "#22333b", "#444444"


def plot(ladder: Ladder, path: Path, caption: str) -> None:
    """Writes the picture; the format follows the file's name.

    Parameters
    ----------
    ladder
        What was measured.
    path
        The file.
    caption
        Under the title: the machine and the date.
    """
    canvas.check(str(path))
    from matplotlib.figure import Figure

    most = max(len(panel.rows) for panel in ladder.panels)
    figure = Figure(figsize=(6.2 * len(ladder.panels), 0.34 * most + 1.8), layout="constrained")
    for axes, panel in zip(
        figure.subplots(1, len(ladder.panels), squeeze=False).flat, ladder.panels, strict=True
    ):
        _draw(axes, panel)
    figure.suptitle(f"The {ladder.staircase.upper()} staircase, {caption}", fontsize=10)
    canvas.save(figure, str(path))


def _draw(axes: Any, panel: Panel) -> None:
    places = range(len(panel.rows))
    most = max([*panel.ceilings.values(), *(row.gflops or 0 for row in panel.rows)], default=1.0)
    for place, row in zip(places, panel.rows, strict=True):
        colour = _RUNG if row.is_rung else _OURS if row.name.startswith("facegen") else _OTHERS
        axes.barh(place, row.gflops or 0, 0.72, color=colour)
        text = f"{row.gflops:,.1f}" if row.gflops is not None else row.note or "not timed"
        axes.text((row.gflops or 0) + 0.01 * most, place, text, va="center", fontsize=8)
    for threads, ceiling in panel.ceilings.items():
        axes.axvline(ceiling, color=_CEILING, linestyle="dashed", linewidth=1)
        label = f"peak, {threads} thread{'s' * (threads > 1)} "
        axes.text(ceiling, -0.75, label, ha="right", va="bottom", fontsize=8, color=_CEILING)
    labels = [
        row.name + (f", {row.threads} threads" if row.ms and (row.threads or 1) > 1 else "")
        for row in panel.rows
    ]
    axes.set_yticks(places, labels, fontsize=8)
    axes.set_ylim(len(panel.rows) - 0.4, -1.3)
    axes.set_xlim(0, most * 1.14)
    axes.set_title(panel.problem, loc="left", fontsize=10, fontweight="bold")
    axes.set_xlabel("GFLOP/s of the definition's multiply-adds")
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(length=0)
