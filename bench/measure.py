"""Verified, then measured: contenders in interleaved rounds on one workload."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from bench.machine import fma_peak
from bench.peers import Contender, NotApplicable
from bench.reference import disagreement, run_graph
from bench.worker import Worker, WorkerError, Workers
from bench.workload import Workload

VERIFIED_IMAGES = 4  # of each batch, from its front and its back


@dataclass(frozen=True)
class Plan:
    """How long a cell (workload, batch, threads) may take.

    A round gives every contender one slice. There are `rounds` of them, fewer where a cell would
    exceed its seconds, but at least `min_rounds`.
    """

    rounds: int = 9
    min_rounds: int = 2
    slice_seconds: float = 0.1
    cell_seconds: float = 45.0
    # A peer behind the best peer by this factor with such long runs is not run again.
    drop_factor: float = 1.6
    slow_seconds: float = 0.5


QUICK = Plan(rounds=5, slice_seconds=0.05, cell_seconds=8.0, slow_seconds=0.2)


@dataclass
class Result:
    """One contender in one cell; `problem` says why there are no times."""

    contender: Contender
    seconds: list[float] = field(default_factory=list)
    note: str = ""
    max_error: float | None = None  # absolute, against float64
    problem: str | None = None


@dataclass
class Cell:
    """All contenders on one workload at one batch size and thread count."""

    workload: str
    batch: int
    threads: int
    gflop_per_image: float
    peak_gflops: list[float]
    results: list[Result]


def measure(
    workload: Workload,
    batch: int,
    workers: Workers,
    contenders: Sequence[Contender],
    plan: Plan,
    say: Callable[[str], None],
) -> Cell:
    """Measures one cell; contenders that fail or are wrong are in it with their problem."""
    where = f"{workload.name}, batch {batch}, threads {workers.threads}"
    images = _verified_images(batch)
    inputs = [x[images] for x in workload.inputs(batch, 0)]
    expected = run_graph(workload.graph, workload.weights, *inputs)
    results = [Result(contender) for contender in contenders]
    ready: list[tuple[Result, Worker]] = []
    for result in results:
        say(f"{where}: building {result.contender}")
        worker = workers[result.contender]
        try:
            result.note = worker.build(workload, batch)
            _verify(result, worker.first_run(images), expected)
            if result.problem is None:
                ready.append((result, worker))
        except NotApplicable as reason:
            result.problem = f"not applicable: {reason}"
        except WorkerError as error:
            result.problem = f"failed: {error}"
    peaks = _rounds(ready, workers.threads, plan, lambda text: say(f"{where}: {text}"))
    gflop = workload.graph.flops / 1e9
    return Cell(workload.name, batch, workers.threads, gflop, peaks, results)


def _rounds(
    ready: list[tuple[Result, Worker]],
    threads: int,
    plan: Plan,
    say: Callable[[str], None],
) -> list[float]:
    """Interleaved rounds over the contenders; the machine's peak as measured between them."""
    started = time.monotonic()
    peaks = [fma_peak(threads)]
    trials: dict[Contender, float] = {}
    for number in range(plan.rounds + 1):  # round 0 is one trial run each
        say(f"round {number} of up to {plan.rounds}, {len(ready)} contenders")
        for result, worker in ready:
            trial = trials.get(result.contender)
            slow = trial is None or trial > plan.slow_seconds
            runs = 1 if trial is None else max(1, min(1000, round(plan.slice_seconds / trial)))
            try:
                seconds = worker.time(runs, warm_up=0 if slow else 1)
            except WorkerError as error:
                result.problem = f"failed: {error}"
                continue
            trials.setdefault(result.contender, seconds[0])
            if trial is not None or seconds[0] > plan.slow_seconds:  # too long to be thrown away
                result.seconds += seconds
        peaks.append(fma_peak(threads))
        ready = _still_of_interest(ready[1:] + ready[:1], plan)  # another one first
        spent = time.monotonic() - started
        if number >= plan.min_rounds and spent * (number + 2) / (number + 1) > plan.cell_seconds:
            break
    return [peak for peak in peaks if not math.isnan(peak)]


def _still_of_interest(
    ready: list[tuple[Result, Worker]], plan: Plan
) -> list[tuple[Result, Worker]]:
    """Without those that failed, and peers whose runs are long and far behind the best peer.

    Judged by the shortest of two or more runs: one burst of other work drops nobody.
    """

    def worth_it(result: Result) -> bool:
        if result.problem is not None:
            return False
        if result.contender.ours or len(result.seconds) < 2:
            return True
        return min(result.seconds) < max(plan.slow_seconds, plan.drop_factor * best)

    peers = [r.seconds for r, _ in ready if r.seconds and not r.contender.ours]
    best = min(map(min, peers), default=0.0)
    return [(result, worker) for result, worker in ready if worth_it(result)]


def _verified_images(batch: int) -> list[int]:
    front = range(min(batch, VERIFIED_IMAGES))
    return sorted({*front, *(batch - 1 - i for i in front)})


def _verify(result: Result, outputs: Sequence[np.ndarray], expected: Sequence[np.ndarray]) -> None:
    for output, answer in zip(outputs, expected, strict=True):
        wrong = disagreement(output, answer)
        if wrong is not None:
            result.problem = f"wrong answer: {wrong}"
            return
        error = float(np.abs(output - answer).max())
        result.max_error = max(error, result.max_error or 0.0)
