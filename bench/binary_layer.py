"""A binary 3x3 layer beside the same layer in float32: python -m bench.binary_layer

Inputs and weights are +1 and -1, so that both compute the same sums; those of the binary layer are
exact. Processor time, the least of several runs in turns, with reading and writing float32 maps.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace

import numpy as np

from facegen._native import CpuExecutable
from facegen.engine.cpu import choose_isa
from facegen.nn import Conv2d, Graph, Shape, lower
from facegen.nn.fit import fit
from facegen.nn.program import Gemm, Program
from facegen.nn.target import find_target


def layer(channels: int, size: int, binary: bool, weights: np.ndarray) -> Program:
    """conv2d 3x3 with a border of zeros, fitted to this processor."""
    conv = Conv2d(channels, channels, 3, padding=1, bias=False)
    graph = Graph.of_layer("one layer", conv, Shape(size, size, channels))
    program = lower(graph, {"layer.weight": weights})
    (step,) = program.steps
    assert isinstance(step, Gemm)
    # What lowering says of a layer whose input it knows to be signs.
    program = replace(program, steps=(replace(step, binary=binary),))
    return fit(program, find_target(f"cpu:{choose_isa('float32')}"))


def times(programs: list[Program], x: np.ndarray, threads: int, runs: int) -> list[float]:
    """Milliseconds of each, the least of `runs` in turns."""
    engines = [CpuExecutable(program, choose_isa("float32")) for program in programs]
    outputs = [np.empty_like(x) for _ in programs]
    least = [np.inf] * len(programs)
    for _ in range(runs):
        for i, engine in enumerate(engines):
            begin = time.process_time()
            engine.run([x], [outputs[i]], threads)
            least[i] = min(least[i], 1e3 * (time.process_time() - begin))
    error = np.abs(outputs[0] - outputs[1]).max()
    print(f"  largest difference: {error:g} of sums up to {np.abs(outputs[1]).max():g}")
    return least


def _signs(random: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return np.where(random.random(shape) < 0.5, np.float32(-1), np.float32(1))


def main() -> None:
    """Print a line a size."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--channels", type=int, default=256)
    parser.add_argument("--sizes", type=int, nargs="+", default=[14, 28, 56])
    parser.add_argument("--runs", type=int, default=30)
    options = parser.parse_args()
    random = np.random.default_rng(0)
    c = options.channels
    weights = _signs(random, (c, 3, 3, c))
    print(f"{c} channels, {choose_isa('float32')}, one thread")
    for size in options.sizes:
        x = _signs(random, (1, size, size, c))
        programs = [layer(c, size, binary, weights) for binary in (False, True)]
        kernels = [program.kernels[-1] for program in programs]
        real, binary = times(programs, x, 1, options.runs)
        products = size * size * 9 * c * c / 1e6
        plain = f"float32 ({kernels[0]}) {real:.2f} ms, {products / real:.0f}e9 products/s"
        signs = f"binary {binary:.2f} ms, {products / binary:.0f}e9 products/s"
        print(f"  {size}x{size}: {plain}; {signs}: {real / binary:.1f} times")


if __name__ == "__main__":
    main()
