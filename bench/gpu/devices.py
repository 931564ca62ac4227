"""python -m bench.gpu.devices: images/s from NumPy array to NumPy array on one GPU and on several.

    python -m bench.gpu.devices                           # 8,192 faces on 1, 2, 4, ... GPUs
    python -m bench.gpu.devices dcgan:32768 pix2pix:1600  # these networks and numbers of images

The same images through one call on each number of GPUs, in turns; results are compared bit for bit.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence

import numpy as np

from bench import machine, workload
from bench.arguments import numbers
from bench.tables import markdown_table
from facegen import DeviceError
from facegen.engine import Runner
from facegen.engine.cuda import usable_gpus
from facegen.networks import NETWORKS
from facegen.nn import lower

ROUNDS = 5


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.gpu.devices", description=__doc__)
    parser.add_argument("cells", nargs="*", default=["dcgan:8192"], metavar="NETWORK:IMAGES")
    parser.add_argument("--gpus", type=numbers, help="such as 1,2; default: powers of two")
    parser.add_argument("--precisions", default="float32,float16", help="default: %(default)s")
    options = parser.parse_args(arguments)
    try:
        gpus = usable_gpus()
    except DeviceError as error:
        print(f"bench.gpu.devices: {error}", file=sys.stderr)
        return 2
    counts = options.gpus or [1 << i for i in range(len(gpus).bit_length())]
    if max(counts) > len(gpus):
        print(f"bench.gpu.devices: there are {len(gpus)} GPUs, not {max(counts)}", file=sys.stderr)
        return 2
    rows, same = [], True
    for cell in options.cells:
        name, _, images = cell.partition(":")
        if name not in NETWORKS or not images.isdecimal():
            parser.error(f"expected one of {', '.join(NETWORKS)}, a colon and images: {cell}")
        for precision in options.precisions.split(","):
            seconds, equal = _measure(workload.network(name), int(images), precision, counts)
            same &= equal
            rates = [int(images) / s for s in seconds]
            figures = [f"{rate:,.0f} ({rate / rates[0]:.2f})" for rate in rates]
            rows.append([name, f"{int(images):,}", precision, *figures])
    headers = ["network", "images", "precision", *(f"{n} GPU{'s' * (n > 1)}" for n in counts)]
    print(f"{machine.describe()['date'][:10]}\n\n{markdown_table(headers, rows)}")
    print("\nResults of all numbers of GPUs: " + ("the same bits." if same else "DIFFERENT."))
    return 0 if same else 1


def _measure(
    work: workload.Workload, images: int, precision: str, counts: Sequence[int]
) -> tuple[list[float], bool]:
    """The median seconds of a call on each number of GPUs, and if all made the same."""
    program, inputs = lower(work.graph, work.weights), work.inputs(images, 0)
    runners = []
    for count in counts:
        device = "cuda:" + ",".join(str(gpu) for gpu in usable_gpus()[:count])
        runners.append(Runner(program, device, precision=precision))
    first, equal = runners[0](*inputs), True
    for runner in runners[1:]:
        equal &= all(map(np.array_equal, _several(runner(*inputs)), _several(first)))
    del first
    times: list[list[float]] = [[] for _ in counts]
    for _ in range(ROUNDS):
        for taken, runner in zip(times, runners, strict=True):
            start = time.perf_counter()
            result = runner(*inputs)
            taken.append(time.perf_counter() - start)
            del result
    return [float(np.median(taken)) for taken in times], equal


def _several(result: np.ndarray | tuple[np.ndarray, ...]) -> tuple[np.ndarray, ...]:
    return result if isinstance(result, tuple) else (result,)


if __name__ == "__main__":
    sys.exit(main())
