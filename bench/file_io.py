"""Number text by itself, and the command `facegen NETWORK INPUT OUTPUT IMAGE` as a whole.

The command is timed from its start to its end as a process of its own, Python's start, loading and
packing the network included, and compared with the computation alone: the same faces computed by
a process that does nothing else. The two take turns.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np

from bench import machine, workload
from bench.peers import OURS, Contender
from bench.tables import markdown_table
from bench.worker import Worker

FACES = 1000
ROUNDS = 5
TEXT_ROWS = 64  # of 64 * 64 * 3 values, as many as the command formats at a time
TEXT_SECONDS = 0.5
BLOCK_BYTES = 4 << 20  # as the command reads


@dataclass(frozen=True)
class TextRate:
    """Time for one number of text."""

    task: str
    threads: int
    ns_a_value_a_core: float  # wall time * threads / values


@dataclass(frozen=True)
class CommandRun:
    """The command on a number of faces; median of its runs."""

    faces: int
    results: str  # where the text went
    wall_seconds: float
    printed_seconds: float  # "Elapsed time" of its last line: computation only
    compute_seconds: float | None  # the computation in a process of its own
    peak_memory_mib: float
    runs: int


@dataclass(frozen=True)
class FileIo:
    machine: dict[str, Any]
    text: tuple[TextRate, ...]
    command: tuple[CommandRun, ...]

    def write(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self), indent=1) + "\n")


def measure_file_io(
    thread_counts: Sequence[int], stream: int | None, say: Callable[[str], None]
) -> FileIo:
    """Text with each thread count; the command with the largest, on 1 and on 1,000 faces.

    `stream`: a further run of so many faces, its text written to /dev/null (12,288 numbers a face
    soon fill a disk), its picture to a file.
    """
    say("text")
    rates = tuple(_text_rates(thread_counts))
    with tempfile.TemporaryDirectory() as folder:
        runs = tuple(_command_runs(Path(folder), max(thread_counts), stream, say))
    return FileIo(machine.describe(), rates, runs)


def markdown(found: FileIo) -> str:
    text = [[r.task, str(r.threads), f"{r.ns_a_value_a_core:.1f}"] for r in found.text]
    command = [
        [
            f"{run.faces:,}",
            run.results,
            f"{run.wall_seconds:.2f}",
            f"{run.printed_seconds:.2f}",
            *(
                (f"{run.compute_seconds:.2f}", f"{run.wall_seconds / run.compute_seconds:.2f}")
                if run.compute_seconds
                else ("–", "–")
            ),
            f"{run.peak_memory_mib:,.0f}",
        ]
        for run in found.command
    ]
    headers = ["faces", "text to", "wall s", "printed s", "computation alone s", "wall / alone"]
    about = found.machine
    return (
        "\n\n".join(
            [
                "# Files: number text and the command",
                f"{about['cpu']}, {about['processors']} processors, {about['date']}. "
                f"Command: `{about['command']}`.",
                "## Number text",
                markdown_table(["task", "threads", "ns a value a core"], text),
                "## facegen NETWORK INPUT OUTPUT IMAGE",
                markdown_table([*headers, "peak memory MiB"], command),
            ]
        )
        + "\n"
    )


def _text_rates(thread_counts: Sequence[int]) -> Iterable[TextRate]:
    from facegen._native import NumberParser, format_rows

    def parse(text: bytes, threads: int) -> int:
        parser = NumberParser(finite=True)
        parts = range(0, len(text), BLOCK_BYTES)
        found = sum(parser.feed(text[i : i + BLOCK_BYTES], threads).size for i in parts)
        return found + parser.finish().size

    generator = np.random.default_rng(0)
    values = generator.uniform(-1, 1, (TEXT_ROWS, 64 * 64 * 3)).astype(np.float32)
    results = format_rows(values)
    latents = " ".join(f"{x:.6f}" for x in values.ravel().tolist()).encode()
    assert parse(results, 1) == parse(latents, 1) == values.size
    tasks: dict[str, Callable[[int], object]] = {
        "format %.4f": lambda threads: format_rows(values, threads),
        "parse %.4f": lambda threads: parse(results, threads),
        "parse %.6f": lambda threads: parse(latents, threads),
    }
    for threads in thread_counts:
        for task, body in tasks.items():
            yield TextRate(task, threads, 1e9 * _seconds(body, threads) * threads / values.size)
    pattern, numbers = "%.4f " * values.size, tuple(values.ravel().tolist())
    others: dict[str, Callable[[int], object]] = {
        "format %.4f by Python": lambda _: pattern % numbers,
        "parse %.4f by NumPy": lambda _: np.fromstring(results.decode(), np.float32, sep=" "),
    }
    for task, body in others.items():
        yield TextRate(task, 1, 1e9 * _seconds(body, 1) / values.size)


def _seconds(body: Callable[[int], object], threads: int) -> float:
    """Median time of a call, after a first that does not count."""
    body(threads)
    times: list[float] = []
    end = time.perf_counter() + TEXT_SECONDS
    while len(times) < 3 or time.perf_counter() < end:
        start = time.perf_counter()
        body(threads)
        times.append(time.perf_counter() - start)
    return median(times)


def _command_runs(
    folder: Path, threads: int, stream: int | None, say: Callable[[str], None]
) -> Iterable[CommandRun]:
    from facegen import weights
    from facegen.networks import NETWORKS

    network = folder / "network.bin"
    weights.write(network, NETWORKS["dcgan"], NETWORKS["dcgan"].initial_weights(0))

    def command(faces: int, result: Path) -> list[str]:
        source = folder / f"input{faces}.txt"
        _write_latents(source, faces)
        files = map(str, (network, source, result, folder / "image.bmp"))
        return [sys.executable, "-m", "facegen", *files, "--threads", str(threads)]

    for faces in (1, FACES):
        line = command(faces, folder / "output.txt")
        runs: list[_Process] = []
        alone: list[float] = []
        worker = Worker(Contender(OURS, "default"), threads)
        try:
            worker.build(workload.network("dcgan"), faces)
            for number in range(1, ROUNDS + 1):
                say(f"{faces:,} faces, run {number} of {ROUNDS}")
                alone += worker.time(1, warm_up=1)
                runs.append(_run(line))
        finally:
            worker.close()
        yield _command_run(faces, "a file", runs, median(alone))
    if stream is not None:
        say(f"{stream:,} faces")
        run = _run(command(stream, Path(os.devnull)))
        yield _command_run(stream, os.devnull, [run], None)


def _command_run(
    faces: int, results: str, runs: Sequence[_Process], compute_seconds: float | None
) -> CommandRun:
    return CommandRun(
        faces,
        results,
        median(run.wall_seconds for run in runs),
        median(run.printed_seconds for run in runs),
        compute_seconds,
        max(run.peak_memory_mib for run in runs),
        len(runs),
    )


def _write_latents(path: Path, faces: int) -> None:
    """Uniform in -1 to 1, as text like the course's."""
    generator = np.random.default_rng(faces)
    with path.open("w") as file:
        file.write(f"{faces}\n")
        for _ in range(faces):
            file.write(" ".join(f"{x:.6f}" for x in generator.uniform(-1, 1, 100)) + "\n")


class _Process(NamedTuple):
    wall_seconds: float
    printed_seconds: float
    peak_memory_mib: float


def _run(command: Sequence[str]) -> _Process:
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    printed = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    elapsed = re.search(r"Elapsed time : ([0-9.]+) sec", printed)
    if process.returncode != 0 or elapsed is None:
        raise RuntimeError(f"{' '.join(command)}: exit code {process.returncode}")
    return _Process(wall, float(elapsed[1]), usage.ru_maxrss / 1024)
