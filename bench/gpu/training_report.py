"""Training beside PyTorch's as Markdown: a table a case, and all cases at a glance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from bench.tables import MISSING, markdown_table
from bench.training.ours import Phases

HEADERS = ["", "images/s, from the host", "of PyTorch's best", "images/s, on the device",
           "of PyTorch's best", "forward ms", "backward ms", "update ms"]  # fmt: skip
PLACES = {"host": "from the host", "device": "on the device"}
PHASES = (
    "Forward, backward and update: facegen's are its kernels launched one by one (on a GPU the "
    "optimizer has no time of its own), PyTorch's are between events in a whole step."
)


@dataclass
class Row:
    """A contender in a case: the best mean seconds of a step, by where its batch comes from."""

    label: str
    ours: bool
    precision: str
    variant: str
    problem: str | None = None
    seconds: dict[str, float] = field(default_factory=dict)  # "host", "device"
    phases: Phases = field(default_factory=dict)


@dataclass(frozen=True)
class Cell:
    case: str
    images: int  # a step
    rows: tuple[Row, ...]

    def best_peer(self, place: str, precisions: Sequence[str] = ()) -> Row | None:
        """PyTorch's fastest, of all precisions or of some."""
        peers = [
            row
            for row in self.rows
            if not row.ours and place in row.seconds
            and (not precisions or row.precision in precisions)
        ]  # fmt: skip
        return min(peers, key=lambda row: row.seconds[place], default=None)


def case_table(cell: Cell) -> str:
    """Fastest first; below it who was not measured, and why."""

    def order(row: Row) -> float:
        return min(row.seconds.values(), default=float("inf"))

    measured = [row for row in cell.rows if row.seconds]
    rows = [_line(row, cell) for row in sorted(measured, key=order)]
    parts = [f"### {cell.case}", markdown_table(HEADERS, rows)]
    problems = [f"- {row.label}: {row.problem}" for row in cell.rows if row.problem]
    return "\n\n".join([*parts, *(["\n".join(problems)] if problems else [])])


def _line(row: Row, cell: Cell) -> list[str]:
    line = [row.label]
    for place in PLACES:
        best = cell.best_peer(place)
        line += [_rate(row, cell, place), _ratio(row, best, place)]
    return [*line, *(_milliseconds(row.phases.get(p)) for p in ("forward", "backward", "update"))]


def summary(cells: Sequence[Cell], precisions: Sequence[str]) -> str:
    """This package's precisions beside PyTorch's best in each of its own."""
    labels = list(dict.fromkeys(row.label for cell in cells for row in cell.rows if row.ours))
    headers = ["case", "batch", *labels, *(f"PyTorch's best in {p}" for p in precisions)]
    rows = []
    for cell in cells:
        for place, words in PLACES.items():
            own = {row.label: row for row in cell.rows if row.ours}
            best = cell.best_peer(place)
            line = [cell.case, words]
            for label in labels:
                ratio = _ratio(own.get(label), best, place)
                rate = _rate(own.get(label), cell, place)
                line.append(rate if ratio == MISSING else f"{rate} ({ratio})")
            for precision in precisions:
                peer = cell.best_peer(place, (precision,))
                rate = _rate(peer, cell, place)
                line.append(rate if peer is None else f"{rate} ({peer.variant})")
            if set(line[2:]) != {MISSING}:
                rows.append(line)
    return markdown_table(headers, rows)


def _rate(row: Row | None, cell: Cell, place: str) -> str:
    if row is None or place not in row.seconds:
        return MISSING
    return f"{cell.images / row.seconds[place]:,.0f}"


def _ratio(row: Row | None, best: Row | None, place: str) -> str:
    if row is None or best is None or place not in row.seconds:
        return MISSING
    return f"{best.seconds[place] / row.seconds[place]:.2f}"


def _milliseconds(seconds: float | None) -> str:
    return MISSING if seconds is None else f"{1e3 * seconds:.3g}"
