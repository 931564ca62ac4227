"""Lowered programs on the native engines: views, sums and copies land where lowering put them."""

from __future__ import annotations

import numpy as np
import pytest
from interpreter import run_program

import engines
import graphs
import tolerance
from facegen.nn import lower
from random_weights import random_weights

NETWORKS = [graphs.dcgan_like, graphs.unet_like, graphs.fire_like, graphs.eccv16_like]
# A misplaced value is wrong by its own size. Rounding is not at stake here (tests/kernels is about
# that): each of some ten layers adds a few units, a norm over few pixels may enlarge them.
UNITS = 2**12
# Half the digits, half the digits right.
HALF_UNITS = 2**19


def check(graph, isa, threads, seed=0):
    rng = np.random.default_rng(seed)
    program = lower(graph, random_weights(graph, rng))
    inputs = [rng.standard_normal((3, *tensor.shape)).astype(np.float32) for tensor in graph.inputs]
    outputs = [np.full((3, *tensor.shape), np.nan, np.float32) for tensor in graph.outputs]
    engines.run_program(program, inputs, outputs, isa, threads)
    units = HALF_UNITS if isa.endswith(("tf32", "float16")) else UNITS
    for got, want in zip(outputs, run_program(program, *inputs), strict=True):
        rms = float(np.sqrt((want**2).mean()))
        tolerance.assert_within(got, want, tolerance.roundings(units, rms))


@pytest.mark.parametrize("isa", engines.GEMM_ENGINES)
@pytest.mark.parametrize("make", NETWORKS)
def test_networks(make, isa):
    check(make(), isa, threads=2)


@pytest.mark.parametrize("seed", range(60))
def test_random_graphs(seed):
    isa = engines.ISAS[seed % len(engines.ISAS)]
    kinds = graphs.ALL_KINDS if seed % 2 else graphs.KINDS
    check(graphs.random_graph(seed, kinds=kinds), isa, 1 + seed % 2, seed)


@pytest.mark.parametrize("seed", range(30))
@pytest.mark.parametrize(
    "isa", engines.on_gpu("cuda auto float32", "cuda auto float16", "cuda fma strict")
)
def test_random_graphs_on_a_gpu(seed, isa):
    check(graphs.random_graph(seed), isa, 1, seed)
