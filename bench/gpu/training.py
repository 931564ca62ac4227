"""python -m bench.gpu --training: steps of training beside PyTorch's on one GPU, in one run.

    python -m bench.gpu --training                          # 8 minutes at most
    python -m bench.gpu --training --quick                  # 2 minutes: nothing is compiled
    python -m bench.gpu --training --cases dcgan64-512,lenet-128 --compiled-cases lenet-128
    python -m bench.gpu --training --device cpu --cases lenet-32,dcgan8-4   # without a GPU

Every contender is a process of its own. For each case all are made ready, those that PyTorch
compiles at the same time, the others' first steps one after another; then they take turns, the
others stopped. A contender that fails or is not ready in time is a line below the table.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from bench import machine
from bench.arguments import positive, words
from bench.gpu.training_report import PHASES, Cell, Row, case_table, summary
from bench.peers import NotApplicable
from bench.process import Late, Process, WorkerError
from bench.training.cases import case
from bench.training.contenders import COMPILED, OURS, TORCH, Contender, Worker
from bench.training.ours import accepted_precisions
from facegen.engine.devices import PRECISIONS as OWN_PRECISIONS
from facegen.errors import DeviceError

CASES = ("lenet-128", "lenet-1024", "dcgan64-128", "dcgan64-512", "dcgan32-256", "segmentation-32",
         "pix2pix-16", "discriminator-64", "generator-64")  # fmt: skip
COMPILED_CASES = ("lenet-128", "dcgan64-128", "dcgan64-512", "segmentation-32", "pix2pix-16")
VARIANTS = ("eager", "fused", "channels_last", "graph", *COMPILED)
PRECISIONS = ("fp32", "tf32", "bf16")
COMPILED_WEIGHT = 2.5  # times the share of the budget that other cases have
BUILD_SHARE = 0.7  # of a case's time, before contenders that are not ready are given up
PATIENCE = 10.0  # seconds that a request may take beyond its case's time
THREADS = 8  # of a process on a GPU: they copy batches of the host


@dataclass(frozen=True)
class Plan:
    """How long a turn is, and how many there are."""

    turns: int = 3
    seconds: float = 0.08
    minutes: float = 8.0


QUICK = Plan(2, 0.04, 2.0)


class Field:
    """The contenders' processes, each started when it is first needed, and again where it died."""

    def __init__(self) -> None:
        self._processes: dict[Contender, Process] = {}

    def __enter__(self) -> Field:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes.values():
            process.close(patience=0)  # nothing is lost, and there are many

    def __getitem__(self, contender: Contender) -> Process:
        process = self._processes.get(contender)
        if process is None or not process.alive:
            process = Process(
                Worker, contender, threads=contender.threads, passed=(NotApplicable,)
            )
            self._processes[contender] = process
        return process

    def measure(
        self, name: str, contenders: Sequence[Contender], plan: Plan, seconds: float
    ) -> Cell:
        """One case by all contenders, in about so many seconds."""
        rows = {c: Row(str(c), c.ours, c.precision, c.variant) for c in contenders}
        begin = time.monotonic()

        def left(share: float) -> float:
            return max(0.0, begin + share * seconds - time.monotonic())

        def fail(contender: Contender, problem: str) -> None:
            """Its row says why; a process of its own for the next case leaves nothing behind."""
            rows[contender].problem = problem
            self._processes[contender].close(patience=0)

        def ask(contender: Contender, request: str, *given: object) -> object:
            """None where it fails."""
            try:
                return self[contender].ask(request, *given, timeout=left(1.0) + PATIENCE)
            except WorkerError as error:
                fail(contender, str(error))
                return None

        for contender in contenders:
            self[contender].send("build", name)  # all at the same time
        for contender in contenders:
            try:
                self[contender].answer(left(BUILD_SHARE))
            except NotApplicable as reason:
                rows[contender].problem = f"not applicable: {reason}"
            except Late:
                fail(contender, f"not ready within {BUILD_SHARE * seconds:.0f} s")
            except WorkerError as error:
                fail(contender, str(error))
        for contender, row in rows.items():
            if row.problem is None:
                ask(contender, "warm_up")
        for turn in range(plan.turns):
            if turn and not left(1.0):
                break
            for contender, row in rows.items():
                for place, resident in (("host", False), ("device", True)):
                    if row.problem is not None or (turn and place not in row.seconds):
                        continue
                    found = ask(contender, "turn", resident, plan.seconds)
                    if isinstance(found, float):
                        row.seconds[place] = min(found, row.seconds.get(place, found))
        for contender, row in rows.items():
            if row.problem is None:
                for _ in range(plan.turns):
                    phases = ask(contender, "phases")
                    if isinstance(phases, dict) and _sum(phases) < (_sum(row.phases) or 1e9):
                        row.phases = phases
                ask(contender, "free")
        return Cell(name, case(name).images, tuple(rows.values()))


def _sum(phases: dict[str, float | None]) -> float:
    return sum(filter(None, phases.values()))


def contenders_on(
    device: str, own: Sequence[str], precisions: Sequence[str], variants: Sequence[str]
) -> list[Contender]:
    """This package first."""
    threads = machine.processors() if device == "cpu" else THREADS
    peers = itertools.product(precisions, variants)
    return [
        *(Contender(OURS, precision, "", device, threads) for precision in own),
        *(Contender(TORCH, precision, variant, device, threads) for precision, variant in peers),
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    plan = QUICK if options.quick else Plan()
    minutes = options.minutes or plan.minutes
    names, compiled = options.cases.split(","), options.compiled_cases.split(",")
    end = time.monotonic() + 60 * minutes
    try:
        for name in names:
            case(name)
        found = accepted_precisions(options.device)
        options.output.mkdir(parents=True, exist_ok=True)
    except (ValueError, DeviceError, OSError) as error:
        print(f"bench.gpu --training: {error}", file=sys.stderr)
        return 2
    own = [p for p in found if not options.precisions or p in options.precisions.split(",")]
    precisions = options.torch_precisions.split(",")
    variants = options.variants.split(",")
    contenders = contenders_on(options.device, own, precisions, variants)
    where = describe(options.device)
    parts = [f"## Training: {where}", PHASES]
    print(*parts, sep="\n\n", flush=True)
    cells: list[Cell] = []
    with Field() as contest:
        weights = [COMPILED_WEIGHT if name in compiled and not options.quick else 1.0
                   for name in names]  # fmt: skip
        for i, name in enumerate(names):
            share = (end - time.monotonic()) * weights[i] / sum(weights[i:])
            if share < 1.0:
                parts.append(f"### {name}\n\nNot measured: the {minutes:g} minutes are over.")
            else:
                chosen = [c for c in contenders if weights[i] > 1.0 or not c.compiled]
                cells.append(contest.measure(name, chosen, plan, share))
                parts.append(case_table(cells[-1]))
            print(f"\n{parts[-1]}", flush=True)
    parts += ["### All cases: images/s (of PyTorch's best)", summary(cells, precisions)]
    print(f"\n{parts[-2]}\n\n{parts[-1]}")
    (options.output / "gpu-training.md").write_text("\n\n".join(parts) + "\n")
    command = " ".join(["python -m bench.gpu --training", *(arguments or ())])
    figures = {"where": where, "machine": {**machine.describe(), "command": command},
               "cells": [asdict(cell) for cell in cells]}  # fmt: skip
    (options.output / "gpu-training.json").write_text(json.dumps(figures, indent=1) + "\n")
    return 0


def describe(device: str) -> str:
    """The device, the day and the versions."""
    known = machine.describe()
    try:
        import torch
    except ImportError:
        return f"{device}, {known['date'][:10]}, no PyTorch"
    if device == "cpu":
        return f"{known['cpu']}, {known['date'][:10]}, PyTorch {torch.__version__}"
    name = torch.cuda.get_device_name() if torch.cuda.is_available() else device
    versions = f"PyTorch {torch.__version__}, cuDNN {torch.backends.cudnn.version()}"
    return f"{name}, {known['date'][:10]}, {versions}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench.gpu --training",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--cases", default=",".join(CASES), help="kind, width, -, images; default: %(default)s"
    )
    parser.add_argument(
        "--compiled-cases",
        default=",".join(COMPILED_CASES),
        help="those that PyTorch compiles, tens of seconds each; default: %(default)s",
    )
    parser.add_argument(
        "--variants", type=words(VARIANTS), default=",".join(VARIANTS), help="of PyTorch"
    )
    parser.add_argument(
        "--torch-precisions", default=",".join(PRECISIONS), help="of PyTorch; also fp16"
    )
    parser.add_argument(
        "--precisions", type=words(OWN_PRECISIONS),
        help="of facegen; default: all that train on the device",
    )  # fmt: skip
    parser.add_argument("--minutes", type=positive, help="of the whole run; default: 8, quick: 2")
    parser.add_argument("--quick", action="store_true", help="short turns, nothing compiled")
    parser.add_argument("--device", default="cuda", help="cuda, or cpu to try it")
    parser.add_argument(
        "--output", type=Path, default=Path("build/bench"), help="folder; default: %(default)s"
    )
    return parser
