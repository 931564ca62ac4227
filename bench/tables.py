"""A record as Markdown: one summary table a panel, then every figure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bench.record import CellRecord, Panel, Record, Row

MISSING = "–"


def markdown(record: Record) -> str:
    """The whole report."""
    machine = record.machine
    versions = ", ".join(f"{title} {version}" for title, version in record.versions.items())
    parts = [
        f"# {record.title}",
        f"{machine['cpu']}, {machine['processors']} processors, {machine['date']}, "
        f"commit {machine['commit'] or 'unknown'}. "
        f"facegen can use {', '.join(machine['isas'])}. Versions: {versions}. "
        f"Command: `{machine['command']}`.",
    ]
    for panel in record.panels():
        parts += [f"## {panel.title}: {panel.unit}", _summary(panel)]
    parts += ["## Every figure", _details(record.cells), *_problems(record.cells)]
    return "\n\n".join(parts) + "\n"


def markdown_table(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """The first column is text, the others are numbers."""
    lines = [headers, ["---"] + ["---:"] * (len(headers) - 1), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _summary(panel: Panel) -> str:
    """A line a contender: its figure, and in brackets its share of the measured FMA peak.

    The fastest peer of each column is in bold.
    """
    table = [
        [_name(panel, i), *(_figure(panel, cell, i) for cell in panel.cells), _error(panel, i)]
        for i in range(len(panel.cells[0].rows))
        if any(cell.rows[i].seconds_median is not None for cell in panel.cells)
    ]
    for i, row in enumerate(panel.cells[0].rows):
        if row.ours:
            ratios = [_times(cell.ratio(cell.rows[i])) for cell in panel.cells]
            table.append([f"{row.label} / fastest peer", *ratios, ""])
    peaks = [_number(panel.peak(cell)) for cell in panel.cells]
    table.append(["float32 multiply-adds at their peak", *peaks, ""])
    return markdown_table(["", *panel.columns, "max abs error"], table)


def _name(panel: Panel, index: int) -> str:
    row = panel.cells[0].rows[index]
    return f"{row.label} ({row.note})" if row.ours and row.note else row.label


def _figure(panel: Panel, cell: CellRecord, index: int) -> str:
    row = cell.rows[index]
    value = panel.value(row)
    if value is None:
        return MISSING
    share = "" if row.percent_of_peak is None else f" ({row.percent_of_peak:.0f}%)"
    return f"**{_number(value)}**{share}" if row == cell.best_peer else f"{_number(value)}{share}"


def _error(panel: Panel, index: int) -> str:
    errors = [cell.rows[index].max_abs_error for cell in panel.cells]
    return _scientific(max((e for e in errors if e is not None), default=None))


def _details(cells: Sequence[CellRecord]) -> str:
    headers = ["workload", "batch", "threads", "contender", "ms a batch", "p10–p90", "images/s"]
    headers += ["GFLOP/s", "of peak", "facegen is", "max abs error", "runs"]
    rows = [
        [cell.workload, str(cell.batch), str(cell.threads), _noted(row), *_statistics(cell, row)]
        for cell in cells
        for row in cell.rows
        if row.seconds_median is not None
    ]
    return markdown_table(headers, rows)


def _noted(row: Row) -> str:
    return f"{row.label} ({row.note})" if row.note else row.label


def _statistics(cell: CellRecord, row: Row) -> list[str]:
    assert row.seconds_p10 is not None and row.seconds_p90 is not None
    ours = next((r.images_per_second for r in cell.rows if r.ours), None)
    faster = ours / row.images_per_second if ours and row.images_per_second else None
    return [
        _milliseconds(row.seconds_median),
        f"{_milliseconds(row.seconds_p10)}–{_milliseconds(row.seconds_p90)}",
        _number(row.images_per_second),
        _number(row.gflops),
        MISSING if row.percent_of_peak is None else f"{row.percent_of_peak:.0f}%",
        _times(faster),
        _scientific(row.max_abs_error),
        str(row.runs),
    ]


def _problems(cells: Sequence[CellRecord]) -> list[str]:
    """One line a contender and problem, with where it happened."""
    found: dict[str, list[str]] = {}
    for cell in cells:
        for row in cell.rows:
            if row.problem is not None:
                where = f"{cell.workload} batch {cell.batch}, {cell.threads} threads"
                found.setdefault(f"{row.label}: {row.problem}", []).append(where)
    lines = [f"- {problem} ({'; '.join(where)})" for problem, where in found.items()]
    return ["## Not measured", "\n".join(lines)] if lines else []


def _number(value: float | None) -> str:
    """Three digits or more."""
    if value is None:
        return MISSING
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _milliseconds(seconds: float | None) -> str:
    return MISSING if seconds is None else f"{_number(1000 * seconds)}"


def _scientific(value: float | None) -> str:
    return MISSING if value is None else f"{value:.0e}"


def _times(ratio: float | None) -> str:
    return MISSING if ratio is None else f"{ratio:.2f}×"
