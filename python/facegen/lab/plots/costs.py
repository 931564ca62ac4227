"""Where a network's multiply-adds and its weights are; stacks beside each other."""

from __future__ import annotations

from collections.abc import Sequence

from facegen.lab.cost import Cost, LayerCost
from facegen.lab.plots import canvas

_MOST_BARS = 60


def draw(costs: Sequence[Cost], path: str) -> None:
    """Bars for every layer of one cost, or for every one of several."""
    bars: Sequence[Cost | LayerCost] = costs
    if len(costs) == 1:
        bars = [each for each in costs[0].layers if each.multiply_adds][:_MOST_BARS]
    figure, axes = canvas.figure(2, height=max(2.2, 0.22 * len(bars) + 1))
    panels = {
        "multiply-adds": [each.multiply_adds / 1e6 for each in bars],
        "weights": [each.parameters / 1e6 for each in bars],
    }
    for number, (what, values) in enumerate(panels.items()):
        panel = axes[0, number]
        panel.barh(range(len(bars)), values, color=canvas.COLOURS[number])
        panel.set_yticks(range(len(bars)), [each.name for each in bars] if number == 0 else [])
        panel.invert_yaxis()
        canvas.plain(panel, what, f"millions of {what}", "")
    if len(costs) == 1:
        figure.suptitle(costs[0].name, fontsize=11)
    canvas.save(figure, path)
