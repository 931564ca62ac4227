"""A record as bars: facegen beside the fastest variant of every peer, and the machine's peak."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bench.peers import PEERS
from bench.record import CellRecord, Panel, Record, Row

# Ours in a warm hue and its paler kin; the peers in cold ones that differ in lightness as well, so
# that they stay apart in print and for colour-blind readers.
OUR_COLOURS = {"default": "#d1495b", "strict": "#edae9f"}
PEER_COLOURS = ("#22333b", "#3d6b82", "#7ba3b8", "#b9cfda")
PEAK_COLOUR = "#444444"


def plot(record: Record, path: Path) -> None:
    """Writes the picture; the format follows the file's name."""
    from matplotlib.figure import Figure

    panels = record.panels()
    columns = min(len(panels), 2)
    rows = -(-len(panels) // columns)
    width = 9.0 if columns == 1 else 13.0
    figure = Figure(figsize=(width, 4.3 * rows + 0.9), layout="constrained")
    all_axes = figure.subplots(rows, columns, squeeze=False)
    for axes, panel in zip(all_axes.flat, panels, strict=False):
        _draw(axes, panel)
    for axes in all_axes.flat[len(panels) :]:
        axes.set_axis_off()
    handles, labels = all_axes.flat[0].get_legend_handles_labels()
    entries = -(-len(labels) // (3 - columns))  # in one line where two panels make room for it
    figure.legend(
        handles, labels, loc="outside lower center", ncols=entries, frameon=False, fontsize=9
    )
    figure.suptitle(
        f"{record.title}, every peer at its fastest; numbers are times the fastest peer\n"
        f"{record.machine['cpu']}, {record.machine['date'][:10]}",
        fontsize=10,
    )
    figure.savefig(path, dpi=150)


def _draw(axes: Any, panel: Panel) -> None:
    from matplotlib.patheffects import withStroke

    series = _series(panel)
    width = 0.84 / len(series)
    for number, (label, colour, rows) in enumerate(series):
        offset = (number - (len(series) - 1) / 2) * width
        for group, row in enumerate(rows):
            value = panel.value(row) if row is not None else None
            if row is None or value is None:
                continue
            # A label without the underscore makes one entry in the legend.
            name = label if group == _first(rows) else f"_{label}"
            axes.bar(group + offset, value, width * 0.94, color=colour, label=name)
            ratio = panel.cells[group].ratio(row)
            if row.ours and ratio is not None:
                axes.annotate(
                    f"{ratio:.1f}×",
                    (group + offset, value),
                    (0, 2),
                    textcoords="offset points",
                    ha="center",
                    va="bottom",
                    fontsize=8,
                    fontweight="bold" if row.variant == "default" else "normal",
                    path_effects=[withStroke(linewidth=2.5, foreground="white")],
                    zorder=5,  # above the bar beside it
                )
    for group, cell in enumerate(panel.cells):
        peak = panel.peak(cell)
        if peak is not None:
            name = "float32 FMA peak" if group == 0 else "_peak"
            axes.hlines(
                peak, group - 0.46, group + 0.46, PEAK_COLOUR, "dashed", linewidth=1.2, label=name
            )
    axes.set_xticks(range(len(panel.columns)), panel.columns)
    axes.set_title(panel.title, loc="left", fontsize=10, fontweight="bold")
    axes.set_ylabel(panel.unit)
    axes.yaxis.set_major_formatter("{x:,.0f}")
    axes.margins(y=0.12)
    axes.grid(axis="y", color="#e5e5e5")
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(length=0)


Series = tuple[str, str, list[Row | None]]


def _series(panel: Panel) -> list[Series]:
    """(label, colour, a row or None for each cell): our variants, then each peer at its best."""
    first = panel.cells[0].rows
    ours: list[Series] = [
        (
            f"{row.label} ({row.note})" if row.note else row.label,
            OUR_COLOURS[row.variant],
            [cell.rows[i] for cell in panel.cells],
        )
        for i, row in enumerate(first)
        if row.ours
    ]
    names = dict.fromkeys(row.peer for row in first if not row.ours)
    peers: list[Series] = [
        (
            PEERS[peer].title,
            PEER_COLOURS[i % len(PEER_COLOURS)],
            [_best(c, peer) for c in panel.cells],
        )
        for i, peer in enumerate(names)
    ]
    return [*ours, *peers]


def _best(cell: CellRecord, peer: str) -> Row | None:
    rows = [row for row in cell.rows if row.peer == peer and row.images_per_second]
    return max(rows, key=lambda row: row.images_per_second or 0.0, default=None)


def _first(rows: list[Row | None]) -> int:
    return next(i for i, row in enumerate(rows) if row is not None and row.images_per_second)
