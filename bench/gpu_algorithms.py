"""Convolutions on a GPU by each algorithm's name: python -m bench.gpu_algorithms

Milliseconds on the GPU alone, of all launches of a layer, beside what float32 takes by itself:
tensor cores' sums of bfloat16 products. Each result is compared with the first one's.
"""

from __future__ import annotations

import argparse

import numpy as np

from bench.tables import markdown_table
from facegen.engine import Runner
from facegen.kernels.algorithms import find
from facegen.nn import Conv2d, Graph, Shape, lower

AUTO = "float32"
NAMES = ["naive", "direct", "im2col", "winograd", AUTO]
# (side, channels in, channels out, kernel)
LAYERS = [
    (56, 64, 64, 3),
    (28, 256, 256, 3),
    (14, 512, 512, 3),
    (56, 256, 64, 1),
    (27, 64, 192, 5),
    (64, 64, 64, 11),
]


def main() -> None:
    """Print a table of the layers by algorithm."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=50)
    options = parser.parse_args()
    rows = [[_called(*each), *_times(each, options.batch, options.repeats)] for each in LAYERS]
    print(f"milliseconds of {options.batch} images (TFLOP/s of the definition)\n")
    print(markdown_table(["layer", *NAMES], rows))


def _called(side: int, channels_in: int, channels_out: int, kernel: int) -> str:
    return f"{side}x{side} {channels_in} > {channels_out} {kernel}x{kernel}"


def _times(shape: tuple[int, int, int, int], batch: int, repeats: int) -> list[str]:
    side, channels_in, channels_out, kernel = shape
    x = Shape(side, side, channels_in)
    layer = Conv2d(channels_in, channels_out, kernel, padding=kernel // 2, bias=False)
    graph = Graph.of_layer("one layer", layer, x)
    random = np.random.default_rng(0)
    values = random.standard_normal((channels_out, kernel, kernel, channels_in), np.float32)
    weights = {"layer.weight": values / np.float32(np.sqrt(kernel * kernel * channels_in))}
    inputs = random.standard_normal((batch, side, side, channels_in), np.float32)
    cells, first = [], None
    for name in NAMES:
        if name == AUTO:
            runner = Runner(lower(graph, weights), "cuda")
        elif find(name).why_not(layer, x, "cuda"):
            cells.append("")
            continue
        else:
            runner = Runner(lower(graph, weights, name), "cuda", precision="strict")
        result = runner(inputs)
        first = result if first is None else first
        error = np.abs(result - first).max()
        if not error < 1e-4:  # outputs are near 1
            raise SystemExit(f"{name}, {_called(*shape)}: off by {error:g}")
        steps = runner.time_steps(batch, repeats)
        ms = sum(ms for _, ms in steps)
        cells.append(f"{ms:.3f} ({batch * layer.flops(x) / ms / 1e9:.1f})")
    return cells


if __name__ == "__main__":
    main()
