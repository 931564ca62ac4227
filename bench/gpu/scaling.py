"""python -m bench.gpu --training --gpus 1,2,4: images/s of training on so many GPUs.

    python -m bench.gpu --training --gpus 1,2,4
    python -m bench.gpu --training --gpus 1,2 --cases discriminator-512 --shares 1,4

Each case is measured with its batch shared by the GPUs, and with so many images for each of them.
Ranks are processes that meet as torchrun's do. "Resident" steps are one call on rows of a data set
that each GPU has; others copy a batch from the host each and read its losses.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from bench import machine
from bench.arguments import numbers
from bench.gpu.training import describe
from bench.tables import MISSING, markdown_table
from bench.training.cases import Case, case
from bench.training.ours import optimizer
from facegen import train
from facegen.train import ranks as train_ranks

CASES = ("discriminator-512", "generator-512", "segmentation-64", "lenet-1024")
HEADERS = ["case", "images", "shares", "GPUs", "resident, images/s", "times one GPU's",
           "from the host, images/s", "times one GPU's"]  # fmt: skip
TURNS, SECONDS = 3, 0.3
_LATEST_SECONDS = 300.0


@dataclass
class Row:
    """A case on some GPUs: seconds of a step, the least of several means; None: it failed."""

    kind: str
    images: int  # a step, of all GPUs
    per_gpu: bool  # or the batch is the same for any number
    shares: int
    gpus: int
    resident: float | None = None
    host: float | None = None
    problem: str = ""


def measure(name: str, shares: int) -> dict[str, float]:
    """By this rank and the others that were started: least mean seconds of a step."""
    made = case(name)
    assert isinstance(made, Case)
    found: dict[str, float] = {}
    with train_ranks.join() as ranks:
        trainer = train.Trainer(
            made.graph, made.loss, optimizer(made.optimizer), frozen=made.frozen, ranks=ranks,
            shares=shares, device="cuda",
        )  # fmt: skip
        held = trainer.hold(made.x, made.y)

        def resident(count: int) -> None:
            trainer.run(held, np.tile(np.arange(made.images), (count, 1)))

        def host(count: int) -> None:
            for _ in range(count):
                trainer.step(made.x, made.y)

        for place, steps in (("resident", resident), ("host", host)):
            steps(40)  # recorded, and warm
            begin = time.perf_counter()
            steps(20)
            count = max(20, int(SECONDS * 20 / (time.perf_counter() - begin)))
            count = count if ranks is None else ranks.told(count)
            for _ in range(TURNS):
                begin = time.perf_counter()
                steps(count)
                seconds = (time.perf_counter() - begin) / count
                found[place] = min(seconds, found.get(place, seconds))
    return found


def run(row: Row) -> None:
    """Fill in a row by ranks of its own."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    words = [sys.executable, "-m", "bench.gpu.scaling", f"{row.kind}-{row.images}", str(row.shares)]
    processes = []
    for rank in range(row.gpus):
        variables = {"RANK": rank, "WORLD_SIZE": row.gpus, "LOCAL_RANK": rank,
                     "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}  # fmt: skip
        processes.append(
            subprocess.Popen(
                words,
                env=os.environ | {name: str(value) for name, value in variables.items()},
                stdout=subprocess.PIPE if rank == 0 else subprocess.DEVNULL,
                stderr=subprocess.PIPE if rank == 0 else subprocess.DEVNULL,
                text=True,
            )
        )
    try:
        output, errors = processes[0].communicate(timeout=_LATEST_SECONDS)
        if processes[0].returncode == 0:
            found = json.loads(output.splitlines()[-1])
            row.resident, row.host = found["resident"], found["host"]
        else:
            row.problem = (errors.strip().splitlines() or ["it failed"])[-1]
    except subprocess.TimeoutExpired:
        row.problem = f"took more than {_LATEST_SECONDS:.0f} s"
    finally:
        for process in processes:
            process.kill()
            process.wait()


def table(rows: Sequence[Row]) -> str:
    """Rates, and how many times those of one GPU they are; below who has none, and why."""

    def cells(row: Row, one: Row | None, place: str) -> list[str]:
        seconds = getattr(row, place)
        if seconds is None:
            return [MISSING, MISSING]
        of_one = None if one is None else getattr(one, place)
        rate = row.images / seconds
        times = MISSING if of_one is None or one is None else f"{rate * of_one / one.images:.2f}"
        return [f"{rate:,.0f}", times]

    lines = []
    for row in rows:
        like = (row.kind, row.shares, row.per_gpu)
        one = next((r for r in rows if (r.kind, r.shares, r.per_gpu) == like and r.gpus == 1), None)
        images = f"{row.images // row.gpus} a GPU" if row.per_gpu else f"{row.images}"
        lines.append(
            [row.kind, images, str(row.shares), str(row.gpus),
             *cells(row, one, "resident"), *cells(row, one, "host")]
        )  # fmt: skip
    problems = [
        f"- {row.kind}-{row.images}, {row.gpus} GPUs, {row.shares} shares: {row.problem}"
        for row in rows
        if row.problem
    ]
    parts = [markdown_table(HEADERS, lines), *(["\n".join(problems)] if problems else [])]
    return "\n\n".join(parts)


def rows_of(cases: Sequence[str], gpus: Sequence[int], shares: Sequence[int]) -> list[Row]:
    """All that is measured, in the table's order."""
    rows = []
    for name in cases:
        kind, _, images = name.rpartition("-")
        for per_gpu in (False, True):
            for some in shares:
                for count in gpus:
                    total = int(images) * (count if per_gpu else 1)
                    rows.append(Row(kind, total, per_gpu, some, count))
    return rows


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    try:
        gpus, shares = numbers(options.gpus), numbers(options.shares)
        cases = options.cases.split(",")
        for name in cases:
            if not isinstance(case(name), Case):
                raise ValueError(f"{name}: two networks, and ranks keep no outputs between them")
        options.output.mkdir(parents=True, exist_ok=True)
    except (ValueError, OSError, argparse.ArgumentTypeError) as error:
        print(f"bench.gpu --training --gpus: {error}", file=sys.stderr)
        return 2
    where = describe("cuda")
    print(f"## Training on several GPUs: {where}\n", flush=True)
    rows = rows_of(cases, gpus, shares)
    measured: dict[tuple[str, int, int, int], Row] = {}
    for row in rows:
        like = measured.setdefault((row.kind, row.images, row.shares, row.gpus), row)
        if like is row:
            run(row)
            print(f"{row}", file=sys.stderr, flush=True)
        row.resident, row.host, row.problem = like.resident, like.host, like.problem
    print(table(rows))
    command = " ".join(["python -m bench.gpu --training", *(arguments or ())])
    figures = {"where": where, "machine": {**machine.describe(), "command": command},
               "rows": [asdict(row) for row in rows]}  # fmt: skip
    (options.output / "gpu-scaling.json").write_text(json.dumps(figures, indent=1) + "\n")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench.gpu --training --gpus",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--gpus", required=True, help="how many, such as 1,2,4")
    parser.add_argument("--cases", default=",".join(CASES), help="default: %(default)s")
    parser.add_argument("--shares", default="1,4", help="as of Trainer; default: %(default)s")
    parser.add_argument(
        "--output", type=Path, default=Path("build/bench"), help="folder; default: %(default)s"
    )
    return parser


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1], int(sys.argv[2]))))
