"""Whole networks, forward and backward: inference and training of both engines in one table."""

from __future__ import annotations

from bench.gpu.report import Cell
from bench.gpu.training_report import Cell as TrainingCell
from bench.gpu.training_report import Row as TrainingRow
from bench.lecture.layers import best_seconds
from bench.others import initial_weights
from bench.tables import MISSING, markdown_table
from bench.training.cases import Case, case
from bench.workload import Workload

BATCHES = {"alexnet": 128, "overfeat": 128, "vgg_a": 64, "googlenet": 128}
HEADERS = ["ms a batch", "forward, inference", "forward, training", "backward", "both",
           "step, from the host", "step, on the device"]  # fmt: skip


def forward_workload(name: str) -> Workload:
    """The network of a case; ValueError where it is not one network."""
    made = case(name)
    if not isinstance(made, Case):
        raise ValueError(f"{name}: the lecture has single networks")
    return Workload(made.graph, initial_weights(made.graph, 0))


def network_table(forward: Cell, training: TrainingCell) -> str:
    """A line an engine and precision; PyTorch's has the better layout of each column's kind."""
    inference = best_seconds(forward)
    learning: dict[str, list[TrainingRow]] = {}
    for row in training.rows:
        if row.seconds:
            learning.setdefault(" ".join(row.label.split()[:2]), []).append(row)
    rows = []
    for name in dict.fromkeys([*inference, *learning]):
        best = min(learning.get(name, []), key=_total, default=None)
        phases = best.phases if best else {}
        seconds = best.seconds if best else {}
        both = [phases.get("forward"), phases.get("backward")]
        total = sum(filter(None, both)) if all(both) else None
        figures = [inference.get(name), *both, total, seconds.get("host"), seconds.get("device")]
        rows.append([name, *map(_milliseconds, figures)])
    title = f"### {training.case}: {forward.gflop:.2f} GFLOP an image forward"
    problems = [*forward.problems, *(f"{r.label}: {r.problem}" for r in training.rows if r.problem)]
    lines = ["\n".join(f"- {problem}" for problem in problems)] if problems else []
    return "\n\n".join([title, markdown_table(HEADERS, rows), *lines])


def _total(row: TrainingRow) -> float:
    phases = [row.phases.get("forward"), row.phases.get("backward")]
    return sum(filter(None, phases)) if all(phases) else float("inf")


def _milliseconds(seconds: float | None) -> str:
    return MISSING if seconds is None else f"{1e3 * seconds:.3g}"
