"""Lowered programs on the native engine: views, sums and copies land where lowering put them."""

from __future__ import annotations

import graphs
import numpy as np
import pytest
from interpreter import run_program

import reference
import tolerance
from facegen import _native
from facegen.nn import lower

NETWORKS = [graphs.dcgan_like, graphs.unet_like, graphs.fire_like, graphs.eccv16_like]
# A misplaced value is wrong by its own size. Rounding is not at stake here (tests/kernels is about
# that): each of some ten layers adds a few units, a norm over few pixels may enlarge them.
UNITS = 2**12


def check(graph, isa, threads, seed=0):
    rng = np.random.default_rng(seed)
    program = lower(graph, reference.random_weights(graph, rng))
    inputs = [rng.standard_normal((3, *tensor.shape)).astype(np.float32) for tensor in graph.inputs]
    outputs = [np.full((3, *tensor.shape), np.nan, np.float32) for tensor in graph.outputs]
    _native.CpuExecutable(program, isa).run(inputs, outputs, threads)
    for got, want in zip(outputs, run_program(program, *inputs), strict=True):
        rms = float(np.sqrt((want**2).mean()))
        tolerance.assert_within(got, want, tolerance.roundings(UNITS, rms))


@pytest.mark.parametrize("isa", _native.available_isas())
@pytest.mark.parametrize("make", NETWORKS)
def test_networks(make, isa):
    check(make(), isa, threads=2)


@pytest.mark.parametrize("seed", range(60))
def test_random_graphs(seed):
    isas = _native.available_isas()
    check(graphs.random_graph(seed), isas[seed % len(isas)], 1 + seed % 2, seed)
