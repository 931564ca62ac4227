"""The end of a classifier: a linear layer to few channels, and softmax; GPUs do both at once."""

from __future__ import annotations

import numpy as np
import pytest
from one_layer import draw, every_gemm

import tolerance
from bench import reference
from engines import run_program
from facegen.nn import Graph, Linear, ReLU, Shape, Softmax, lower
from random_weights import random_weights

# (channels in, channels out); the last two are for other kernels
SIZES = {
    "lenet": (256, 10),
    "one": (128, 1),
    "all columns": (96, 32),
    "no multiple of 8": (384, 21),
    "more than the columns": (128, 33),
    "odd": (100, 10),
}
IMAGES = 70  # more than a tile


@every_gemm
@pytest.mark.parametrize("name", SIZES)
def test_linear_and_softmax(name, isa):
    before, after = SIZES[name]
    graph = Graph("scores")
    y = graph.input("x", Shape(1, 1, 40))
    y = graph.add("relu", ReLU(), graph.add("hidden", Linear(40, before), y))
    scores = graph.add("scores", Linear(before, after), y)
    graph.output(graph.add("softmax", Softmax(), scores))
    weights = random_weights(graph, np.random.default_rng(0))
    program = lower(graph, weights)

    def run(images):
        output = np.full((len(images), 1, 1, after), np.nan, np.float32)
        run_program(program, [images], [output], isa)
        return output

    x = draw((IMAGES, 1, 1, 40))
    got = run(x)
    (want,) = reference.run_graph(graph, weights, x)
    tolerance.assert_within(got, want, _bound(weights, x, want, isa))
    for count in (1, 9):
        np.testing.assert_array_equal(run(x[-count:]), got[-count:])


def _bound(weights, x, want, isa):
    """Of a probability whose logarithm is off by twice what the scores are, and some roundings."""

    def magnitude(layer, values):
        return reference.linear(
            values, np.abs(weights[f"{layer}.weight"]), np.abs(weights[f"{layer}.bias"])
        )

    hidden = reference.linear(x, weights["hidden.weight"], weights["hidden.bias"])
    error = tolerance.gemm(magnitude("hidden", np.abs(x)), 40, isa)
    error += 2.0**-11 * np.abs(hidden) if isa.endswith("float16") else 0
    hidden = reference.relu(hidden)
    of_scores = tolerance.gemm(magnitude("scores", hidden + error), hidden.shape[-1], isa)
    of_scores += error @ np.abs(weights["scores.weight"]).reshape(want.shape[-1], -1).T
    if isa.endswith("float16"):  # scores may be stored as such
        of_scores += 2.0**-11 * magnitude("scores", hidden)
    largest = of_scores.max(axis=-1, keepdims=True)
    roundings = tolerance.roundings(2 * tolerance.EXP + want.shape[-1] + 2, want)
    return want * np.expm1(2 * largest) + roundings + 1e-37
