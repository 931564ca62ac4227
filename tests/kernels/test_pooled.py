"""Convolutions computed line by line with the max pool that reads them."""

from __future__ import annotations

import numpy as np
import pytest
from one_layer import ISAS, draw

import reference
from engines import run_program
from facegen.nn import Conv2d, Graph, MaxPool2d, ReLU, Shape, lower

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
    weights = reference.random_weights(graph, np.random.default_rng(0))
    outputs = [np.full((len(x), *t.shape), np.nan, np.float32) for t in graph.outputs]
    run_program(lower(graph, weights), [x], outputs, isa, threads)
    return outputs[-1]
