"""python -m bench.lecture: tables of a lecture on computing convolutional networks, on this card.

    python -m bench.lecture                       # 6 minutes at most
    python -m bench.lecture --quick               # 2 minutes: VGG-E's layers at N = 1 and 16
    python -m bench.lecture --networks none --batches 1,64
    python -m bench.lecture --device cpu --networks googlenet --images 2 --layers conv5 --batches 1

Forward and backward of convnet-benchmarks' networks, beside PyTorch's: AlexNet of one column,
Overfeat (fast), OxfordNet (VGG-A), GoogLeNet. Then the convolutions of VGG-E by themselves, in
effective TFLOPS: the definition's operations by the time, whatever is done for them.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from bench import machine
from bench.arguments import numbers, positive, words
from bench.gpu.contenders import forget_compiled
from bench.gpu.measure import measure
from bench.gpu.report import Cell
from bench.gpu.training import Field, Plan, contenders_on, describe
from bench.lecture.layers import LAYERS, Layer, layers_tables, ways
from bench.lecture.networks import BATCHES, forward_workload, network_table
from bench.training.ours import accepted_precisions
from bench.workload import Workload
from facegen.errors import DeviceError

LAYER_BATCHES, QUICK_BATCHES = (1, 2, 4, 8, 16, 32, 64), (1, 16)
PRECISIONS = {"cuda": ("float32", "tf32", "float16"), "cpu": ("float32", "strict")}
LAYER_PRECISIONS = {"cuda": ("float32", "tf32", "float16", "strict"), "cpu": ("float32", "strict")}
PEERS = {
    "cuda": [("fp32", "graph_nchw"), ("fp32", "graph"), ("tf32", "graph"), ("fp16", "graph")],
    "cpu": [("fp32", "eager"), ("fp32", "channels_last")],
}
TORCH_PRECISIONS = {"cuda": ("fp32", "tf32", "fp16"), "cpu": ("fp32",)}
TRAINING_VARIANTS = ("fused", "channels_last")  # NCHW and NHWC
TRAINING = Plan(turns=2, seconds=0.05)
LAYERS_WEIGHT = 2.0  # of the time, in networks
ROUNDS, ROUND_SECONDS = 3, 0.02
READING = (
    "Inference is what facegen.load runs, and a CUDA graph of PyTorch's. Training is a Trainer's "
    "step (SGD): facegen's forward and backward are its kernels launched one by one, PyTorch's "
    "between events in a whole step, the faster of NCHW and channels_last. PyTorch's fp16 has its "
    "weights and maps in it."
)


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    minutes = options.minutes or (2.0 if options.quick else 6.0)
    end = time.monotonic() + 60 * minutes
    kind = options.device.partition(":")[0]
    names = [] if options.networks == "none" else options.networks.split(",")
    cases = {f"{name}-{options.images or BATCHES.get(name, 64)}": name for name in names}
    try:
        if kind not in PRECISIONS:
            raise DeviceError(f"expected cuda or cpu, not {options.device}")
        works = {name: forward_workload(name) for name in cases}
        own = accepted_precisions(options.device)
        if kind == "cuda" and not torch.cuda.is_available():
            raise DeviceError("PyTorch finds no GPU here")
        options.output.mkdir(parents=True, exist_ok=True)
    except (ValueError, DeviceError, OSError) as error:
        print(f"bench.lecture: {error}", file=sys.stderr)
        return 2
    layers = [layer for layer in LAYERS if layer.name in options.layers.split(",")]
    parts = [f"## Lecture: {describe(options.device)}", READING]
    print(*parts, sep="\n\n", flush=True)
    figures: dict[str, Any] = {"networks": [], "layers": []}
    training = contenders_on(options.device, own, TORCH_PRECISIONS[kind], TRAINING_VARIANTS)
    with Field() as contest:
        for i, (name, work) in enumerate(works.items()):
            share = (end - time.monotonic()) / (len(works) - i + LAYERS_WEIGHT * bool(layers))
            begin = time.monotonic()
            forward = _forward(work, int(name.rpartition("-")[2]), options.device)
            left = max(1.0, share - (time.monotonic() - begin))
            learned = contest.measure(name, training, TRAINING, left)
            figures["networks"].append({"forward": asdict(forward), "training": asdict(learned)})
            parts.append(network_table(forward, learned))
            print(f"\n{parts[-1]}", flush=True)
    if layers:
        batches = options.batches or (QUICK_BATCHES if options.quick else LAYER_BATCHES)
        cells = _layers(layers, batches, options.device, end)
        figures["layers"] = [{"layer": key[0], **asdict(cell)} for key, cell in cells.items()]
        parts += layers_tables(cells, layers, batches)
        print("", *parts[len(works) + 2 :], sep="\n\n")
    (options.output / "lecture.md").write_text("\n\n".join(parts) + "\n")
    command = " ".join(["python -m bench.lecture", *(arguments or sys.argv[1:])])
    record = {"machine": {**machine.describe(), "command": command}, **figures}
    (options.output / "lecture.json").write_text(json.dumps(record, indent=1) + "\n")
    return 0


def _forward(
    work: Workload, batch: int, device: str, own: Sequence[tuple[str, str]] | None = None
) -> Cell:
    """In inference, by all who are there; the memory is then free again."""
    kind = device.partition(":")[0]
    own = own or [(precision, "auto") for precision in PRECISIONS[kind]]
    cell = measure(
        work, batch, own, PEERS[kind], device=device, rounds=ROUNDS, round_seconds=ROUND_SECONDS,
        host=False,
    )  # fmt: skip
    forget_compiled()
    return cell


def _layers(
    layers: Sequence[Layer], batches: Sequence[int], device: str, end: float
) -> dict[tuple[str, int], Cell]:
    """The smallest and the largest batch first; none is begun after the end."""
    own = ways(LAYER_PRECISIONS[device.partition(":")[0]], device)
    cells = {}
    for batch in sorted(batches, key=lambda n: (n not in (min(batches), max(batches)), n)):
        for layer in layers:
            if time.monotonic() < end:
                cells[layer.name, batch] = _forward(layer.workload, batch, device, own)
    return cells


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench.lecture",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--networks", default=",".join(BATCHES), help="or none; default: %(default)s"
    )
    parser.add_argument("--images", type=int, help="of a network's batch; default: as published")
    parser.add_argument(
        "--layers", type=words(("none", *(layer.name for layer in LAYERS))),
        default=",".join(layer.name for layer in LAYERS), help="of VGG-E, or none",
    )  # fmt: skip
    parser.add_argument("--batches", type=numbers, help="of layers; default: 1 to 64, quick: 1,16")
    parser.add_argument("--minutes", type=positive, help="of the whole run; default: 6, quick: 2")
    parser.add_argument("--quick", action="store_true", help="layers at two batches")
    parser.add_argument("--device", default="cuda", help="cuda, or cpu to try it")
    parser.add_argument(
        "--output", type=Path, default=Path("build/bench"), help="folder; default: %(default)s"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
