"""Convolutions computed line by line with the max pool that reads them."""

from __future__ import annotations

import numpy as np
import pytest
from one_layer import ISAS, draw, every_gemm

import tolerance
from bench import reference
from engines import run_program
from facegen.nn import Conv2d, Graph, MaxPool2d, ReLU, Shape, lower
from random_weights import random_weights

# (convolution, pool, (n, h, w, in)): the networks' own, in small, then padding, windows that share
# several lines, share none, leave lines out, and reach below the map
CASES = {
    "squeezenet": (Conv2d(3, 18, 7, stride=2), MaxPool2d(3, 2, ceil_mode=True), (3, 39, 41, 3)),
    "lenet": (Conv2d(1, 32, 5), MaxPool2d(2), (5, 28, 28, 1)),
    "padding": (Conv2d(4, 20, 3, padding=1), MaxPool2d(3, 2, padding=1), (2, 17, 20, 4)),
    "shared lines": (Conv2d(4, 20, 3), MaxPool2d(5, 1), (1, 20, 16, 4)),
    "lines left out": (Conv2d(2, 5, 3), MaxPool2d(2, 3), (2, 22, 19, 2)),
    "small output": (Conv2d(16, 5, 3), MaxPool2d(2), (2, 20, 20, 16)),
    "one row": (Conv2d(2, 5, 3), MaxPool2d(2, 3), (2, 4, 19, 2)),
}

# (convolution, (n, h, w, in)) before a pool of 2x2, which GPUs have kernels for
BY_TWO = {
    "lenet, first": (Conv2d(1, 32, 5), (5, 28, 28, 1)),
    "lenet, second": (Conv2d(32, 64, 5), (5, 12, 12, 32)),
    "three channels": (Conv2d(3, 40, 3, padding=1), (3, 17, 22, 3)),
    "bands of an image": (Conv2d(3, 96, 3, padding=1), (2, 35, 150, 3)),
    "a window of one word": (Conv2d(1, 8, 1), (2, 6, 4, 1)),
    "uneven padding": (Conv2d(2, 16, (2, 4), padding=((0, 1), (3, 2))), (2, 9, 11, 2)),
    "no tile is full": (Conv2d(32, 24, 3, padding=1), (3, 13, 9, 32)),
    "64 channels": (Conv2d(64, 72, 3, padding=((0, 1), (2, 0)), bias=False), (2, 19, 26, 64)),
    "1x1 kernel": (Conv2d(96, 16, 1), (2, 5, 5, 96)),
    "too many channels": (Conv2d(320, 64, 3, bias=False), (2, 6, 6, 320)),
}


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("first", [True, False], ids=["first", "behind another"])
def test_same_bits_as_one_after_the_other(name, isa, first):
    """Behind another layer, the pool's output may be placed where the convolution's input is."""
    conv, pool, shape = CASES[name]
    x = draw(shape)
    x[0, 3, 3] = np.nan
    x[-1, 2, 7] = np.inf
    # A map that is an output is written, and pooled afterwards.
    expected = _pooled(conv, pool, x, isa, 1, first, keep_map=True)
    assert np.isnan(expected).any() and not np.isnan(expected).all()
    for threads in (1, 2, 5):
        found = _pooled(conv, pool, x, isa, threads, first, keep_map=False)
        np.testing.assert_array_equal(found, expected)
    alone = _pooled(conv, pool, x[-1:], isa, 2, first, keep_map=False)
    np.testing.assert_array_equal(alone, expected[-1:])


@every_gemm
@pytest.mark.parametrize("name", BY_TWO)
def test_pool_of_two_against_its_definition(name, isa):
    conv, shape = BY_TWO[name]
    x = draw(shape)
    graph = Graph("convolution and pool")
    y = graph.add("conv", conv, graph.input("x", Shape(*shape[1:])))
    if conv.bias:
        y = graph.add("relu", ReLU(), y)
    y = graph.add("pool", MaxPool2d(2), y)
    graph.output(y)
    weights = random_weights(graph, np.random.default_rng(0))
    program = lower(graph, weights, "direct")

    def run(images):
        output = np.full((len(images), *y.shape), np.nan, np.float32)
        run_program(program, [images], [output], isa)
        return output

    got = run(x)
    (want,) = reference.run_graph(graph, weights, x)
    sizes = {name: np.abs(value) for name, value in weights.items()}
    (magnitude,) = reference.run_graph(graph, sizes, np.abs(x))
    length = int(np.prod(conv.parameters()["weight"][1:]))
    # Maxima differ by no more than what they are the largest of; float16 may store that.
    stored = 2.0**-11 * magnitude if isa.endswith("float16") else 0
    tolerance.assert_within(got, want, tolerance.gemm(magnitude, length, isa) + stored)
    np.testing.assert_array_equal(run(x[-1:]), got[-1:])

    x[0, 2, 3] = np.nan
    (reached,) = reference.run_graph(graph, weights, x)
    np.testing.assert_array_equal(np.isnan(run(x)), np.isnan(reached))


def _pooled(
    conv: Conv2d,
    pool: MaxPool2d,
    x: np.ndarray,
    isa: str,
    threads: int,
    first: bool,
    keep_map: bool,
) -> np.ndarray:
    graph = Graph("convolution and pool")
    y = graph.input("x", Shape(*x.shape[1:]))
    if not first:
        y = graph.add("before", Conv2d(x.shape[-1], x.shape[-1], 1), y)
    y = graph.add("relu", ReLU(), graph.add("conv", conv, y))
    z = graph.add("same", MaxPool2d(1), graph.add("pool", pool, y))
    if keep_map:
        graph.output(y)
    graph.output(z)
    weights = random_weights(graph, np.random.default_rng(0))
    outputs = [np.full((len(x), *t.shape), np.nan, np.float32) for t in graph.outputs]
    run_program(lower(graph, weights), [x], outputs, isa, threads)
    return outputs[-1]
