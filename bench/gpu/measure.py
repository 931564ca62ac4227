"""One network and batch on a GPU: every contender verified, then timed in turns."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from bench.gpu.contenders import (
    VERIFIED_IMAGES,
    Contender,
    Ours,
    Task,
    Torch,
    forget_compiled,
)
from bench.gpu.report import Cell, Row
from bench.workload import Workload

ROUNDS = 5
ROUND_SECONDS = 0.05


def measure(
    work: Workload,
    batch: int,
    own: Sequence[tuple[str, str]],
    peers: Sequence[tuple[str, str]],
    *,
    device: str = "cuda:0",
    rounds: int = ROUNDS,
    round_seconds: float = ROUND_SECONDS,
    host: bool = True,
) -> Cell:
    """All contenders in turns, so that a drifting clock meets them alike.

    Parameters
    ----------
    own
        Precisions and algorithms of this package.
    peers
        Precisions and variants of PyTorch.
    host
        Whether this package is timed from NumPy array to NumPy array too.
    """
    forget_compiled()
    task = Task(work, batch, device)
    images = min(batch, VERIFIED_IMAGES)
    expected = task.exact(images)
    ready: list[Contender] = []
    problems: list[str] = []

    def make(kind: Callable[[Task, str, str], Contender], title: str, *words: str) -> None:
        try:
            ready.append(kind(task, *words))
        except Exception as error:  # what it cannot do, or has no memory for
            reason = (str(error).splitlines() or [""])[0][:120]
            problems.append(f"{title} {' '.join(words)}: {reason}")

    for precision, algorithm in own:
        make(Ours, "facegen", precision, algorithm)
    for precision, variant in peers:
        make(Torch, "PyTorch", precision, variant)
    times: list[list[float]] = [[] for _ in ready]
    host_times: list[list[float]] = [[] for _ in ready]
    runs = [max(3, min(100, int(round_seconds / c.seconds(3)[-1]))) for c in ready]
    for _ in range(rounds):
        for i, contender in enumerate(ready):
            times[i] += contender.seconds(runs[i])
            if host and isinstance(contender, Ours):
                host_times[i] += contender.host_seconds(max(3, runs[i] // 4))
    rows = tuple(
        Row(
            contender.label,
            contender.unit,
            contender.products,
            float(np.median(times[i])),
            float(np.median(host_times[i])) if host_times[i] else None,
            max(
                float(np.abs(y[:images] - exact_y).max())
                for y, exact_y in zip(contender.outputs(), expected, strict=True)
            ),
        )
        for i, contender in enumerate(ready)
    )
    graph = work.graph
    bytes_in = 4 * sum(tensor.shape.floats for tensor in graph.inputs)
    bytes_out = 4 * sum(tensor.shape.floats for tensor in graph.outputs)
    gflop = graph.flops / 1e9
    return Cell(work.name, batch, gflop, bytes_in, bytes_out, rows, tuple(problems))
