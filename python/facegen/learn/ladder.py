"""A whole staircase: every rung in turn, beside the product's own kernel and the ceiling."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from facegen import processors
from facegen.errors import FacegenError
from facegen.learn.build import BuildError, build
from facegen.learn.compilers import find_compiler, flags_of
from facegen.learn.course import PROBLEMS, Rung, rungs
from facegen.learn.gpu import compute_capability
from facegen.learn.gpu_peers import facegen_on_gpu, pytorch_on_gpu
from facegen.learn.peers import Peer, cpu_peers
from facegen.learn.run import RUN_SECONDS, Result, build_and_run

_GPU_SECONDS = 60.0  # after which a rung that hangs is ended, beside those that it is timed for


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes
    ----------
    name, title
        A rung's, or that of a program that it is compared with.
    is_rung
        False for those.
    threads, ms, gflops, peak_gflops, percent_of_peak, relative_error
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
    peak_gflops: float | None = None
    percent_of_peak: float | None = None
    relative_error: float | None = None
    note: str = ""


@dataclass(frozen=True)
class Panel:
    """All rows of one problem.

    Attributes
    ----------
    problem
        "conv3x3" or "tconv2".
    ceilings
        Threads -> the measured peak in GFLOP/s; none on a GPU, where each row has its own.
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
    peers: bool = True,
    tell: Callable[[str], None] = lambda line: None,
) -> Ladder:
    """Builds all rungs of a staircase, then verifies and times them one after another.

    A rung that does not compile, is wrong, crashes or hangs is a row that says so, and does not
    keep the others from theirs; nor does what is compared with them and fails.

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
    peers
        Whether to time facegen and, where it is installed, PyTorch beside them.
    tell
        Is told, in a line, what is at work.

    Raises
    ------
    FacegenError
        There is no compiler, or no GPU for the rungs that need one.
    """
    listed = rungs(staircase)
    find_compiler(listed[0].source)
    lacking = _lacking(listed) if staircase == "gpu" else {}
    tell("compiling")
    broken = _build([rung for rung in listed if rung.name not in lacking])
    results: list[tuple[str, Result]] = []
    for rung in listed:
        tell(f"{rung.name}: {rung.title}")
        for problem in problems:
            if rung.name in lacking:
                result = Result(rung.name, problem, None, not_timed=lacking[rung.name])
            elif rung.name in broken:
                result = Result(rung.name, problem, False, wrong=broken[rung.name])
            else:
                result = _result(rung, problem, staircase, seconds, threads, tiny)
            results.append((rung.title, result))
    panels = []
    for problem in problems:
        here = [(title, result) for title, result in results if result.problem == problem]
        rows = [_row(title, result) for title, result in here]
        ceilings = _ceilings([result for _, result in here])
        if peers and not tiny:
            tell(f"facegen and PyTorch on {problem}")
            rows += _peer_rows(staircase, problem, ceilings, seconds, threads)
        panels.append(Panel(problem, rows, ceilings))
    return Ladder(
        staircase,
        next((result.machine for _, result in results if result.machine), ""),
        panels,
        all(result.verified is not False for _, result in results),
    )


def _lacking(listed: Sequence[Rung]) -> dict[str, str]:
    """What this GPU is not, by the names of the rungs that are made for one kind alone."""
    capability = compute_capability()
    if capability is None:
        raise FacegenError(
            "the GPU staircase needs an NVIDIA GPU, and the driver finds none; without one its "
            "exercises are verified on the CPU (facegen learn start 23)"
        )
    found = "{}.{}".format(*capability)
    lacking = {}
    for rung in listed:
        made_for = re.search(r"code=sm_(\d+)(\d)a", " ".join(flags_of(rung.source)))
        needed = f"{made_for[1]}.{made_for[2]}" if made_for else found
        if needed != found:
            lacking[rung.name] = f"needs a GPU of compute capability {needed}; this has {found}"
    return lacking


def _build(listed: Sequence[Rung]) -> dict[str, str]:
    """Builds rungs at once, each on a processor: what is wrong with those that cannot be."""

    def attempt(rung: Rung) -> str:
        try:
            build(rung.source)
        except FacegenError as error:
            return _why(error)
        return ""

    with ThreadPoolExecutor(processors.count()) as pool:
        failures = list(pool.map(attempt, listed))
    return {rung.name: why for rung, why in zip(listed, failures, strict=True) if why}


def _result(
    rung: Rung, problem: str, staircase: str, seconds: float, threads: int | None, tiny: bool
) -> Result:
    limit = RUN_SECONDS if staircase == "cpu" else _GPU_SECONDS + 2 * seconds
    try:
        results = build_and_run(
            rung.source,
            problem=problem,
            tiny=tiny,
            threads=threads,
            seconds=seconds,
            timeout=limit,
        )
    except FacegenError as error:
        return Result(rung.name, problem, False, wrong=_why(error))
    return results[0]


def _why(error: FacegenError) -> str:
    """In one line: of a compiler's words the first that tell of an error."""
    if not isinstance(error, BuildError):
        return " ".join(str(error).split())
    lines = [line.strip() for line in error.output.splitlines() if line.strip()]
    first = next((line for line in lines if "error" in line), lines[0] if lines else "")
    return f"does not compile: {first}"


def _row(title: str, result: Result) -> Row:
    return Row(
        result.rung,
        title,
        True,
        result.threads,
        result.ms,
        result.gflops,
        result.peak_gflops,
        result.percent_of_peak,
        result.relative_error,
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
    staircase: str,
    problem: str,
    ceilings: dict[int, float],
    seconds: float,
    threads: int | None,
) -> list[Row]:
    """Of what is there; what fails is a row that says so."""
    groups: dict[str, Callable[[], Iterator[Peer]]] = {
        "facegen": lambda: facegen_on_gpu(problem),
        "PyTorch": lambda: pytorch_on_gpu(problem),
    }
    if staircase == "cpu":
        groups = {"facegen and PyTorch": lambda: cpu_peers(problem, seconds, threads)}
    rows = []
    for name, group in groups.items():
        try:
            for peer in group():
                rows.append(_peer_row(peer, ceilings))
        except Exception as error:  # whatever another program raises: the others have their say
            rows.append(Row(name, "", False, note=f"not timed: {' '.join(str(error).split())}"))
    return rows


def _peer_row(peer: Peer, ceilings: dict[int, float]) -> Row:
    peak = peer.peak_gflops
    if peak is None and peer.threads is not None and ceilings:
        measured, least = next(iter(ceilings.items()))
        peak = least / measured * peer.threads
    percent = 100 * peer.gflops / peak if peak else None
    note = f"wrong: {peer.wrong}" if peer.wrong else ""
    return Row(
        peer.name,
        "",
        False,
        peer.threads,
        peer.ms,
        peer.gflops,
        peak,
        percent,
        peer.relative_error,
        note,
    )
