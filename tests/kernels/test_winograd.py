"""Layers that the CPU engine computes by Winograd's convolution, as users reach them.

tests/native/test_winograd.cpp has its cases one by one.
"""

from __future__ import annotations

import numpy as np
import pytest
from one_layer import ISAS, draw, draw_weights, run_layer

import engines
import tolerance
from bench import reference
from facegen import _native
from facegen.engine import Runner
from facegen.nn import Add, Concat, Conv2d, ConvTranspose2d, Graph, LeakyReLU, Shape, lower
from random_weights import random_weights

# With split products the same layers take the GEMM.
WINOGRAD_ISAS = _native.available_isas("strict")

# (layer, its definition, options of both, (n, h, w, in))
CASES = {
    "conv2d": (Conv2d(40, 33, 3, padding=1), reference.conv2d, {"padding": 1}, (2, 9, 12, 40)),
    "2x3 kernel, odd padding": (
        Conv2d(150, 17, (2, 3), padding=((0, 2), (3, 0))),
        reference.conv2d,
        {"padding": ((0, 2), (3, 0))},
        (1, 11, 10, 150),
    ),
    "dilation": (
        Conv2d(32, 40, 3, padding=2, dilation=2),
        reference.conv2d,
        {"padding": 2, "dilation": 2},
        (1, 13, 9, 32),
    ),
    "5x5": (Conv2d(32, 64, 5), reference.conv2d, {}, (3, 12, 12, 32)),
    "dcgan": (
        ConvTranspose2d(64, 32, 5, stride=2, padding=((1, 2), (1, 2))),
        reference.conv_transpose2d,
        {"stride": 2, "padding": ((1, 2), (1, 2))},
        (2, 8, 8, 64),
    ),
    "pix2pix": (
        ConvTranspose2d(20, 48, 4, stride=2, padding=1),
        reference.conv_transpose2d,
        {"stride": 2, "padding": 1},
        (3, 9, 8, 20),
    ),
}


@pytest.mark.parametrize("isa", WINOGRAD_ISAS)
@pytest.mark.parametrize("name", CASES)
def test_agrees_with_the_definition(name, isa):
    layer, definition, options, shape = CASES[name]
    x = draw(shape)
    weights = draw_weights(layer)
    got = run_layer(layer, x, weights=weights, isa=isa)
    magnitude = definition(np.abs(x), **{k: np.abs(v) for k, v in weights.items()}, **options)
    length = int(np.prod(layer.parameters()["weight"][1:]))
    bound = tolerance.winograd(magnitude, length)
    tolerance.assert_within(got, definition(x, **weights, **options), bound)
    direct = run_layer(layer, x, weights=weights, isa=isa, algorithm="direct")
    assert not np.array_equal(got, direct), "the case does not reach Winograd's convolution"


@pytest.mark.parametrize("isa", WINOGRAD_ISAS)
def test_in_a_network_with_sums_and_concatenations(isa):
    """Reads and writes parts of wider buffers, and adds before the activation."""
    graph = Graph("concatenation and sum")
    x = graph.input("x", Shape(8, 9, 20))
    left = graph.add("left", Conv2d(20, 17, 3, padding=1), x)
    right = graph.add("right", Conv2d(20, 22, 3, padding=1), x)
    both = graph.add("both", Concat(), left, right)
    from_part = graph.add("from_part", Conv2d(22, 39, 3, padding=1), right)
    total = graph.add("total", LeakyReLU(0.2), graph.add("sum", Add(), from_part, both))
    graph.output(graph.add("up", ConvTranspose2d(39, 18, 4, stride=2, padding=1), total))
    weights = random_weights(graph, np.random.default_rng(0))
    batch = draw((3, 8, 9, 20))
    got = np.full((3, 16, 18, 18), np.nan, np.float32)
    engines.run_program(lower(graph, weights), [batch], [got], isa, 2)
    (want,) = reference.run_graph(graph, weights, batch)
    # Three convolutions in a row; none enlarges errors by more than 2.
    rms = float(np.sqrt((want**2).mean()))
    bound = tolerance.winograd(np.full(want.shape, rms), 9 * 39) * 2**3
    tolerance.assert_within(got, want, bound)


def test_strict_multiplies_as_the_definition_does():
    graph = Graph.of_layer("strict", Conv2d(32, 32, 3, padding=1), Shape(10, 10, 32))
    weights = random_weights(graph, np.random.default_rng(0))
    batch = draw((2, 10, 10, 32))
    strict = Runner(lower(graph, weights), "cpu", precision="strict")
    assert strict.isa in WINOGRAD_ISAS
    direct = np.empty((2, 10, 10, 32), np.float32)
    engines.run_program(lower(graph, weights, "direct"), [batch], [direct], strict.isa)
    np.testing.assert_array_equal(strict(batch), direct)
    assert strict.program.steps[0].algorithm == "auto"  # the caller's program stays as it is


@pytest.mark.parametrize("isa", sorted(set(ISAS) - set(WINOGRAD_ISAS)))
def test_split_products_take_the_gemm(isa):
    layer, x = Conv2d(32, 32, 3, padding=1), draw((1, 10, 10, 32))
    weights = draw_weights(layer)
    auto = run_layer(layer, x, weights=weights, isa=isa)
    direct = run_layer(layer, x, weights=weights, isa=isa, algorithm="direct")
    np.testing.assert_array_equal(auto, direct)
