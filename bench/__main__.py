"""python -m bench: the package beside its peers, verified first, in one run.

Writes NAME.json, NAME.md and NAME.png to the output folder and prints the tables. See README.md.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from bench import machine, workload
from bench.arguments import numbers
from bench.measure import QUICK, Cell, Plan, measure
from bench.peers import PEERS, Contender, contenders
from bench.record import Record, record
from bench.tables import markdown
from bench.worker import Workers

BATCHES, QUICK_BATCHES, LAYER_BATCHES = (1, 8, 64, 1024), (1, 8, 64), (1, 64)
LAYERS = Plan(rounds=7, slice_seconds=0.03, cell_seconds=10.0, slow_seconds=0.2)


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    if options.threads is None:
        options.threads = [1] if options.processor_time else sorted({1, machine.processors()})
    try:
        if options.processor_time and options.threads != [1]:
            # Threads that wait for others spin, which is processor time as well.
            raise ValueError("--processor-time is of one thread: --threads 1")
        options.output.mkdir(parents=True, exist_ok=True)
        if options.io or options.stream:
            return _file_io(options)
        return _compare(options)
    except ValueError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("bench: interrupted", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--network", default="dcgan", help="by its name in facegen.networks")
    parser.add_argument("--batches", type=numbers, help="such as 1,8,64,1024")
    parser.add_argument("--threads", type=numbers, help="such as 1,2; default: 1 and all")
    parser.add_argument(
        "--peers",
        type=lambda text: text.split(","),
        help="such as facegen,ort,torch:frozen; default: all that are installed",
    )
    parser.add_argument("--quick", action="store_true", help="smaller batches, shorter times")
    parser.add_argument(
        "--processor-time",
        action="store_true",
        help="of one thread, rather than what the clock shows: for machines that others use",
    )
    parser.add_argument("--layers", action="store_true", help="each layer by itself instead")
    parser.add_argument("--io", action="store_true", help="number files and the command instead")
    parser.add_argument("--stream", type=int, metavar="N", help="--io and a run of so many faces")
    parser.add_argument(
        "--output", type=Path, default=Path("build/bench"), help="folder; default: %(default)s"
    )
    return parser


def _compare(options: argparse.Namespace) -> int:
    """The network or its layers, facegen beside the peers."""
    whole = workload.network(options.network)
    workloads = workload.layers(whole) if options.layers else [whole]
    present = _present(contenders(options.peers))
    plan = LAYERS if options.layers else QUICK if options.quick else Plan()
    default = LAYER_BATCHES if options.layers else QUICK_BATCHES if options.quick else BATCHES
    batches = options.batches or default
    clock = time.process_time if options.processor_time else time.perf_counter
    cells: list[Cell] = []
    with _Progress(len(workloads) * len(batches) * len(options.threads)) as progress:
        for threads in options.threads:
            with Workers(threads, clock) as workers:
                for batch in batches:
                    for work in workloads:
                        cells.append(measure(work, batch, workers, present, plan, progress.say))
                        progress.advance()
    name = f"{whole.name}-layers" if options.layers else whole.name
    title = f"{whole.name}, layer by layer" if options.layers else f"{whole.name}"
    found = record(f"{title}: facegen and its peers", machine.describe(), cells)
    found.write(options.output / f"{name}.json")
    text = markdown(found)
    (options.output / f"{name}.md").write_text(text)
    print(text)
    _plot(found, options.output / f"{name}.png")
    rows = [row for cell in found.cells for row in cell.rows]
    failed = any(row.problem for row in rows if row.ours and row.variant == "default")
    return int(failed)


def _file_io(options: argparse.Namespace) -> int:
    """Number text, and the command from file to file."""
    from bench.file_io import markdown as report
    from bench.file_io import measure_file_io

    with _Progress() as progress:
        found = measure_file_io(options.threads, options.stream, progress.say)
    found.write(options.output / "io.json")
    text = report(found)
    (options.output / "io.md").write_text(text)
    print(text)
    return 0


def _present(chosen: Sequence[Contender]) -> list[Contender]:
    """Those that are installed; says which are not."""
    present = [contender for contender in chosen if contender.version() is not None]
    absent = dict.fromkeys(PEERS[c.peer].title for c in chosen if c not in present)
    if absent:
        print(f"bench: not installed: {', '.join(absent)}", file=sys.stderr)
    return present


def _plot(found: Record, path: Path) -> None:
    try:
        from bench.plot import plot

        plot(found, path)
    except ImportError as error:
        print(f"bench: no plot: {error}", file=sys.stderr)


class _Progress:
    """What is being done, on stderr: one line that changes on a terminal, else a line a cell."""

    def __init__(self, total: int = 0) -> None:
        self._total, self._done = total, 0
        self._start = time.monotonic()
        self._terminal = sys.stderr.isatty()

    def __enter__(self) -> _Progress:
        return self

    def __exit__(self, *_: object) -> None:
        self._write("")

    def say(self, text: str) -> None:
        count = f"[{self._done}/{self._total}] " if self._total else ""
        self._write(f"{count}{time.monotonic() - self._start:.0f} s: {text}")

    def advance(self) -> None:
        self._done += 1
        if not self._terminal:
            spent = time.monotonic() - self._start
            print(f"bench: {self._done} of {self._total} cells, {spent:.0f} s", file=sys.stderr)

    def _write(self, text: str) -> None:
        if self._terminal:
            print(f"\r\x1b[K{text[:110]}", end="", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
