"""What a run found, as plain data: written to JSON, read by the tables and the plot."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from bench.measure import Cell, Result
from bench.peers import PEERS


@dataclass(frozen=True)
class Row:
    """One contender in one cell; no figures where there is a problem."""

    peer: str
    variant: str
    label: str
    ours: bool
    note: str  # what the contender chose at run time, such as the instruction set
    problem: str | None
    max_abs_error: float | None = None
    runs: int = 0
    seconds_p10: float | None = None
    seconds_median: float | None = None
    seconds_p90: float | None = None
    images_per_second: float | None = None
    gflops: float | None = None
    percent_of_peak: float | None = None


@dataclass(frozen=True)
class CellRecord:
    """One workload at one batch size and thread count."""

    workload: str
    batch: int
    threads: int
    gflop_per_image: float
    peak_gflops: float | None  # float32 multiply-adds, median of those measured between the rounds
    peak_gflops_min: float | None
    peak_gflops_max: float | None
    rows: tuple[Row, ...]

    @property
    def best_peer(self) -> Row | None:
        """The fastest contender that is not ours."""
        peers = [row for row in self.rows if not row.ours and row.images_per_second]
        return max(peers, key=lambda row: row.images_per_second or 0.0, default=None)

    def ratio(self, row: Row) -> float | None:
        """Images a second of `row` over those of the best peer."""
        best = self.best_peer
        if best is None or not best.images_per_second or not row.images_per_second:
            return None
        return row.images_per_second / best.images_per_second


@dataclass(frozen=True)
class Record:
    """A run of the benchmark."""

    title: str
    machine: dict[str, Any]
    versions: dict[str, str]
    cells: tuple[CellRecord, ...]

    def write(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self), indent=1) + "\n")

    @staticmethod
    def read(path: Path) -> Record:
        fields = json.loads(path.read_text())
        cells = [
            CellRecord(**cell | {"rows": tuple(Row(**row) for row in cell["rows"])})
            for cell in fields.pop("cells")
        ]
        return Record(**fields, cells=tuple(cells))

    def panels(self) -> list[Panel]:
        """Cells side by side: the batches of one network, or the layers at one batch size."""
        workloads = list(dict.fromkeys(cell.workload for cell in self.cells))
        panels: dict[str, list[CellRecord]] = {}
        for cell in self.cells:
            key = f"{cell.threads} thread{'s' if cell.threads > 1 else ''}"
            if len(workloads) > 1:
                key += f", batch {cell.batch}"
            panels.setdefault(key, []).append(cell)
        if len(workloads) > 1:
            return [
                Panel(title, "GFLOP/s", tuple(c.workload.rpartition(".")[2] for c in cells), cells)
                for title, cells in panels.items()
            ]
        return [
            Panel(title, "images/s", tuple(f"batch {c.batch}" for c in cells), cells)
            for title, cells in panels.items()
        ]


@dataclass(frozen=True)
class Panel:
    """Cells to compare at a glance, with one figure a contender."""

    title: str
    unit: str  # "images/s" or "GFLOP/s"
    columns: tuple[str, ...]
    cells: list[CellRecord]

    def value(self, row: Row) -> float | None:
        return row.images_per_second if self.unit == "images/s" else row.gflops

    def peak(self, cell: CellRecord) -> float | None:
        """What multiply-adds at the measured peak would reach, in this panel's unit."""
        if cell.peak_gflops is None or self.unit == "GFLOP/s":
            return cell.peak_gflops
        return cell.peak_gflops / cell.gflop_per_image


def record(title: str, machine: dict[str, Any], cells: Sequence[Cell]) -> Record:
    """Statistics of the cells."""
    contenders = [result.contender for cell in cells for result in cell.results]
    versions = {PEERS[c.peer].title: c.version() or "absent" for c in contenders}
    return Record(title, machine, versions, tuple(map(_cell_record, cells)))


def _cell_record(cell: Cell) -> CellRecord:
    peaks = cell.peak_gflops
    peak = float(np.median(peaks)) if peaks else None
    return CellRecord(
        cell.workload,
        cell.batch,
        cell.threads,
        cell.gflop_per_image,
        peak,
        min(peaks, default=None),
        max(peaks, default=None),
        tuple(_row(result, cell, peak) for result in cell.results),
    )


def _row(result: Result, cell: Cell, peak: float | None) -> Row:
    contender = result.contender
    row = Row(
        contender.peer,
        contender.variant,
        str(contender),
        contender.ours,
        result.note,
        result.problem,
        result.max_error,
    )
    if result.problem is not None or not result.seconds:
        return row
    p10, median, p90 = (float(q) for q in np.percentile(result.seconds, (10, 50, 90)))
    images_per_second = cell.batch / median
    gflops = images_per_second * cell.gflop_per_image
    return replace(
        row,
        runs=len(result.seconds),
        seconds_p10=p10,
        seconds_median=median,
        seconds_p90=p90,
        images_per_second=images_per_second,
        gflops=gflops,
        percent_of_peak=100 * gflops / peak if peak else None,
    )
