"""python -m bench.gpu: this package beside PyTorch on one GPU, in one run.

Device-resident and host to host, each result compared with float64, beside the machine's ceilings.
Prints Markdown, and writes it with every figure as JSON to the output folder.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import torch

from bench import machine, workload
from bench.arguments import numbers
from bench.gpu import ceilings
from bench.gpu.contenders import OUR_PRECISIONS, TORCH_PRECISIONS, TORCH_VARIANTS
from bench.gpu.measure import measure
from bench.gpu.report import ceilings_table, cell_table
from bench.tables import markdown_table
from facegen.engine import Runner
from facegen.networks import NETWORKS
from facegen.nn import lower

BATCHES = {"dcgan": (1, 64, 1024, 8192), "colorizer": (1, 32), "lenet": (1, 10, 100, 1000, 10000)}
OTHER_BATCHES = (1, 64)
VARIANTS = ("eager", "channels_last", "graph", "compiled")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.gpu", description=__doc__)
    parser.add_argument("--networks", default=",".join(NETWORKS), help="default: %(default)s")
    parser.add_argument("--batches", type=numbers, help="such as 1,64; default: each network's own")
    parser.add_argument(
        "--variants",
        default=",".join(VARIANTS),
        help="of PyTorch, or none; also graph_nchw, and autotuned (max-autotune: minutes)",
    )
    parser.add_argument(
        "--torch-precisions", default=",".join(TORCH_PRECISIONS), help="of PyTorch"
    )
    parser.add_argument("--precisions", default=",".join(OUR_PRECISIONS), help="of facegen")
    parser.add_argument("--layers", action="store_true", help="facegen's steps by themselves")
    parser.add_argument("--training", action="store_true", help="see --training --help")
    parser.add_argument("--output", type=Path, default=Path("build/bench"))
    options = parser.parse_args(arguments)
    if not torch.cuda.is_available():
        print("bench.gpu: PyTorch finds no GPU here", file=sys.stderr)
        return 2
    options.output.mkdir(parents=True, exist_ok=True)
    found = ceilings.measure()
    where = f"{torch.cuda.get_device_name()}, {machine.describe()['date'][:10]}"
    versions = f"PyTorch {torch.__version__}, cuDNN {torch.backends.cudnn.version()}"
    parts = [f"## {where}, {versions}", ceilings_table(found)]
    print(*parts, sep="\n\n", flush=True)
    own = [(precision, "auto") for precision in options.precisions.split(",")]
    variants = [v for v in options.variants.split(",") if v in TORCH_VARIANTS]
    precisions = [p for p in options.torch_precisions.split(",") if p in TORCH_PRECISIONS]
    peers = list(itertools.product(precisions, variants))
    cells = []
    for name in options.networks.split(","):
        work = workload.network(name)
        for batch in options.batches or BATCHES.get(name, OTHER_BATCHES):
            if options.layers:
                parts += [_layers(work, batch, p) for p in options.precisions.split(",")]
            else:
                cells.append(measure(work, batch, own, peers))
                parts.append(cell_table(cells[-1], found))
            print(f"\n{parts[-1]}", flush=True)
    (options.output / "gpu.md").write_text("\n\n".join(parts) + "\n")
    figures = {"where": where, "ceilings": asdict(found), "cells": [asdict(c) for c in cells]}
    (options.output / "gpu.json").write_text(json.dumps(figures, indent=1) + "\n")
    return 0


def _layers(work: workload.Workload, batch: int, precision: str) -> str:
    """Each step of this package's program by itself, on one chunk."""
    program = lower(work.graph, work.weights)
    runner = Runner(program, "cuda:0", precision=precision)
    runner(*work.inputs(batch, 0))
    steps = runner.time_steps(batch, 20)
    total = sum(ms for _, ms in steps)
    rows = [[kernel, f"{1e3 * ms:.1f}", f"{100 * ms / total:.0f}%"] for kernel, ms in steps]
    rows.append(["all", f"{1e3 * total:.1f}", ""])
    title = f"### {work.name}, batch {batch:,}, {precision}"
    return f"{title}, step by step\n\n{markdown_table(['kernel', 'us', 'share'], rows)}"
