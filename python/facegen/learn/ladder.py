"""A whole staircase: every rung in turn, beside the product's own kernel and the ceiling."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from facegen.learn.course import PROBLEMS, rungs
from facegen.learn.peers import layer_of, peers
from facegen.learn.run import Result, build_and_run


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes
    ----------
    name, title
        A rung's, or that of a program that it is compared with.
    is_rung
        False for those.
    threads, ms, gflops, percent_of_peak
        As `Result` has them; None where nothing was timed.
    note
        Why not, or what was wrong.
    """

    name: str
    title: str
    is_rung: bool
    threads: int | None = None
    ms: float | None = None
    gflops: float | None = None
    percent_of_peak: float | None = None
    note: str = ""


@dataclass(frozen=True)
class Panel:
    """All rows of one problem.

    Attributes
    ----------
    problem
        "conv3x3" or "tconv2".
    ceilings
        Threads -> the measured peak in GFLOP/s.
    """

    problem: str
    rows: list[Row]
    ceilings: dict[int, float]


@dataclass(frozen=True)
class Ladder:
    """What `climb` measured; `right` is whether no rung was wrong."""

    staircase: str
    machine: str
    panels: list[Panel]
    right: bool


def climb(
    staircase: str,
    problems: Sequence[str] = PROBLEMS,
    *,
    seconds: float = 0.5,
    threads: int | None = None,
    tiny: bool = False,
    tell: Callable[[str], None] = lambda line: None,
) -> Ladder:
    """Builds, verifies and times the rungs of a staircase one after another.

    Parameters
    ----------
    staircase
        "cpu" or "gpu".
    problems
        Some of `PROBLEMS`.
    seconds
        For which each rung is timed on each problem.
    threads
        Of rungs that use several, and of what they are compared with: all that there are, and one
        beside it, if None.
    tiny
        On a few pixels, to see that all are right; nothing is compared.
    tell
        Is told, in a line, what is at work.

    Raises
    ------
    FacegenError
        As `build_and_run`; a rung that is wrong is none, but noted in its row.
    """
    results: list[tuple[str, Result]] = []
    for rung in rungs(staircase):
        tell(f"{rung.name}: {rung.title}")
        for problem in problems:
            found = build_and_run(
                rung.source, problem=problem, tiny=tiny, threads=threads, seconds=seconds
            )
            results += [(rung.title, result) for result in found]
    panels = []
    for problem in problems:
        here = [(title, result) for title, result in results if result.problem == problem]
        rows = [_row(title, result) for title, result in here]
        ceilings = _ceilings([result for _, result in here])
        if staircase == "cpu" and ceilings and not tiny:
            tell(f"facegen and PyTorch on {problem}")
            rows += _peer_rows(problem, ceilings, seconds, threads)
        panels.append(Panel(problem, rows, ceilings))
    return Ladder(
        staircase,
        results[0][1].machine,
        panels,
        all(result.verified is not False for _, result in results),
    )


def _row(title: str, result: Result) -> Row:
    return Row(
        result.rung,
        title,
        True,
        result.threads,
        result.ms,
        result.gflops,
        result.percent_of_peak,
        f"wrong: {result.wrong}" if result.wrong else result.not_timed,
    )


def _ceilings(results: Sequence[Result]) -> dict[int, float]:
    """The largest that was measured for each number of threads: a clock that rises shows so."""
    ceilings: dict[int, float] = {}
    for result in results:
        if result.threads is not None and result.peak_gflops is not None:
            ceilings[result.threads] = max(ceilings.get(result.threads, 0.0), result.peak_gflops)
    return dict(sorted(ceilings.items()))


def _peer_rows(
    problem: str, ceilings: dict[int, float], seconds: float, threads: int | None
) -> list[Row]:
    layer, shape = layer_of(problem)
    gflop = layer.flops(shape) * 1e-9
    measured, peak = next(iter(ceilings.items()))
    return [
        Row(
            peer.name,
            "",
            False,
            peer.threads,
            peer.seconds * 1e3,
            gflop / peer.seconds,
            100 * gflop / peer.seconds / (peak / measured * peer.threads),
        )
        for peer in peers(problem, seconds, threads)
    ]
