"""Convolutions and linear layers against their definitions: listed cases and drawn shapes.

Lowering and engine are tested at once: each case is a network of one layer.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from one_layer import draw, draw_weights, every_gemm, every_gemm_engine, every_isa, run_layer
from shapes import channels, few, maps, pads, pair_of

import tolerance
from bench import reference
from engines import run_program
from facegen.nn import (
    Conv2d,
    ConvTranspose2d,
    Graph,
    LeakyReLU,
    Linear,
    ReLU,
    Shape,
    Tanh,
    lower,
)


def check_gemm(layer, definition, x, isa, threads, **options):
    """A convolution of either kind, or a linear layer, against its definition."""
    weights = draw_weights(layer)
    got = run_layer(layer, x, weights=weights, isa=isa, threads=threads)
    want = definition(x, **weights, **options)
    sizes = {name: np.abs(value) for name, value in weights.items()}
    magnitude = definition(np.abs(x), **sizes, **options)
    length = int(np.prod(layer.parameters()["weight"][1:]))
    tolerance.assert_within(got, want, tolerance.gemm(magnitude, length, isa))


def check_conv2d(x, out, kernel, isa, threads=1, bias=True, **options):
    layer = Conv2d(x.shape[3], out, kernel, bias=bias, **options)
    check_gemm(layer, reference.conv2d, x, isa, threads, **options)


def check_conv_transpose2d(x, out, kernel, isa, threads=1, bias=True, **options):
    layer = ConvTranspose2d(x.shape[3], out, kernel, bias=bias, **options)
    check_gemm(layer, reference.conv_transpose2d, x, isa, threads, **options)


# (n, h, w, in), out, kernel, options
CONV2D = {
    "1x1 map, 1x1 kernel, one channel": ((1, 1, 1, 1), 1, 1, {}),
    "one channel in": ((2, 9, 7, 1), 5, 3, {"padding": 1}),
    "one channel out": ((2, 9, 7, 5), 1, 3, {"padding": 1}),
    "three channels in": ((1, 11, 13, 3), 16, 7, {"stride": 2}),
    "three channels out": ((1, 11, 13, 16), 3, 3, {"padding": 1}),
    "primes": ((3, 7, 11, 13), 17, (3, 5), {"padding": (1, 2)}),
    "non-square kernel and stride": ((2, 9, 8, 4), 6, (1, 4), {"stride": (3, 2)}),
    "kernel smaller than stride": ((2, 10, 11, 4), 6, 2, {"stride": 3}),
    "odd padding": ((1, 6, 5, 4), 6, 3, {"padding": ((0, 2), (3, 1))}),
    "padding beyond the kernel": ((1, 4, 5, 2), 3, 2, {"padding": 4}),
    "dilation": ((2, 9, 8, 5), 6, 3, {"dilation": 2, "padding": 2}),
    "dilation, some taps never inside": ((1, 2, 3, 4), 6, 3, {"dilation": (4, 3), "padding": 4}),
    "kernel larger than the map": ((2, 2, 2, 6), 7, 5, {"padding": 2}),
    "only 4 of 16 taps inside": ((3, 2, 2, 8), 9, 4, {"stride": 2, "padding": 1}),
    "no bias": ((1, 4, 4, 3), 5, 3, {"bias": False}),
    "deep": ((2, 4, 4, 300), 33, 3, {"padding": 1}),
    "wide": ((1, 5, 5, 40), 530, 1, {}),
}
CONV_TRANSPOSE2D = {
    "1x1 map": ((1, 1, 1, 1), 1, 1, {}),
    "dcgan": ((2, 4, 4, 20), 33, 5, {"stride": 2, "padding": ((1, 2), (1, 2))}),
    "dcgan, last layer": ((1, 9, 8, 16), 3, 5, {"stride": 2, "padding": ((1, 2), (1, 2))}),
    "pix2pix": ((2, 5, 3, 17), 31, 4, {"stride": 2, "padding": 1}),
    "pix2pix from 1x1": ((3, 1, 1, 40), 33, 4, {"stride": 2, "padding": 1}),
    "fcn": ((1, 6, 7, 21), 21, 11, {"stride": 4, "bias": False}),
    "kernel smaller than stride": ((2, 5, 4, 3), 6, 2, {"stride": 3}),
    "phases of several sizes": ((1, 4, 5, 3), 6, 4, {"stride": 3, "output_padding": (1, 2)}),
    "stride 1": ((1, 5, 4, 6), 7, 3, {"padding": 1}),
    "non-square": ((2, 3, 7, 5), 6, (2, 5), {"stride": (1, 3), "padding": ((0, 1), (2, 0))}),
    "output padding": ((1, 3, 3, 4), 4, 3, {"stride": 2, "padding": 1, "output_padding": 1}),
    "primes": ((3, 5, 7, 11), 13, 5, {"stride": 2}),
    "deep": ((1, 4, 4, 300), 33, 4, {"stride": 2, "padding": 1}),
    "one output a row": ((2, 13, 1, 4), 5, (1, 2), {"stride": (1, 2), "padding": ((0, 0), (1, 0))}),
}


@every_gemm_engine
@pytest.mark.parametrize("case", CONV2D)
def test_conv2d(case, isa, threads):
    shape, out, kernel, options = CONV2D[case]
    check_conv2d(draw(shape), out, kernel, isa, threads, **options)


@every_gemm_engine
@pytest.mark.parametrize("case", CONV_TRANSPOSE2D)
def test_conv_transpose2d(case, isa, threads):
    shape, out, kernel, options = CONV_TRANSPOSE2D[case]
    check_conv_transpose2d(draw(shape), out, kernel, isa, threads, **options)


# Micro-tiles are 14 rows x 32 columns (AVX-512) and 6 x 16 (AVX2); blocks are 224 rows, 512
# columns and 256 deep (csrc/cpu/gemm.cpp, kernels.h); on GPUs tiles are 128 x 64, chunks 16 or 32
# deep, in runs of 8 channels (csrc/cuda/igemm_*.cu). One less and one more of each:
ROWS = [1, 5, 6, 7, 13, 14, 15, 27, 28, 29, 112, 127, 128, 129, 223, 224, 225]
COLUMNS = [1, 2, 15, 16, 17, 31, 32, 33, 47, 63, 64, 65, 255, 256, 257, 511, 512, 513]
DEPTHS = [1, 2, 3, 4, 15, 16, 17, 24, 31, 33, 48, 63, 64, 65, 255, 256, 257, 511, 513]


@every_gemm
@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("out", [1, 15, 16, 17, 32, 33, 65])
def test_tile_rows(rows, out, isa):
    check_conv2d(draw((1, 1, rows, 5)), out, 1, isa, threads=2)
    check_conv2d(draw((rows, 1, 1, 5)), out, 1, isa)


@every_gemm
@pytest.mark.parametrize("columns", COLUMNS)
def test_tile_columns(columns, isa):
    check_conv2d(draw((2, 3, 5, 7)), columns, 3, isa, threads=2, padding=1)
    check_conv_transpose2d(draw((1, 3, 5, 7)), columns, 3, isa, stride=2)


@every_gemm
@pytest.mark.parametrize("depth", DEPTHS)
def test_depths(depth, isa):
    check_conv2d(draw((2, 3, 3, depth)), 33, 3, isa, padding=1)
    check_conv_transpose2d(draw((1, 3, 3, depth)), 17, 4, isa, stride=2, padding=1)


# 1 to 4 output channels: pixels in lanes, 8 to 32 of a row at a time, in strips of rows whose
# channels fit 256 KiB (csrc/cpu/thin_gemm.cpp).
@every_gemm
@pytest.mark.parametrize("width", [7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 65])
@pytest.mark.parametrize("out", [1, 2, 3, 4, 5])
def test_few_output_channels(width, out, isa):
    check_conv2d(draw((2, 5, width, 6)), out, 3, isa, padding=((2, 0), (1, 2)), dilation=2)
    check_conv_transpose2d(draw((2, 3, width, 5)), out, 3, isa, stride=3, output_padding=(1, 0))
    x = draw((1, 3, width, 7))
    check_conv_transpose2d(x, out, 5, isa, stride=2, padding=((1, 2), (1, 2)), threads=2)


@every_gemm_engine
@pytest.mark.parametrize("shape", [(1, 90, 20, 64), (3, 5, 40, 1), (1, 2, 17, 1500)], ids=str)
def test_few_output_channels_in_strips(shape, isa, threads):
    check_conv2d(draw(shape), 3, 3, isa, threads, padding=1)
    check_conv_transpose2d(draw(shape), 2, 4, isa, threads, stride=2, padding=1)


@every_gemm_engine
@pytest.mark.parametrize(("n", "depth", "out"), [(1, 1, 1), (1, 100, 257), (7, 33, 65), (40, 9, 3)])
@pytest.mark.parametrize("bias", [True, False])
def test_linear(n, depth, out, bias, isa, threads):
    layer = Linear(depth, out, bias)
    check_gemm(layer, reference.linear, draw((n, 1, 1, depth)), isa, threads)


@every_gemm
@few
@given(maps, channels, pair_of[5], pair_of[3], st.tuples(pads, pads), pair_of[3], st.booleans())
@example((1, 1, 1, 1), 1, (1, 1), (3, 3), ((0, 0), (0, 0)), (1, 1), True)
def test_conv2d_of_any_shape(isa, shape, out, kernel, stride, padding, dilation, bias):
    for size, taps, step, pad in zip(shape[1:3], kernel, dilation, padding, strict=True):
        assume(size + sum(pad) >= (taps - 1) * step + 1)
    options = {"stride": stride, "padding": padding, "dilation": dilation}
    check_conv2d(draw(shape), out, kernel, isa, threads=2, bias=bias, **options)


@every_gemm
@few
@given(maps, channels, pair_of[5], pair_of[3], st.tuples(pads, pads), pads, st.booleans())
@example((1, 1, 1, 1), 1, (1, 1), (3, 3), ((0, 0), (0, 0)), (2, 2), True)
def test_conv_transpose2d_of_any_shape(isa, shape, out, kernel, stride, padding, extra, bias):
    for size, taps, step, pad, more in zip(shape[1:3], kernel, stride, padding, extra, strict=True):
        assume((size - 1) * step + taps + more > sum(pad))
    options = {"stride": stride, "padding": padding, "output_padding": extra}
    check_conv_transpose2d(draw(shape), out, kernel, isa, threads=2, bias=bias, **options)


@every_isa
@few
@given(maps, channels, pair_of[5], pair_of[3], st.tuples(pads, pads))
def test_conv_transpose2d_is_the_adjoint_of_conv2d(isa, shape, out, kernel, stride, padding):
    """<conv(x), y> = <x, conv_transpose(y)>, with the weight's channel axes exchanged."""
    for size, taps, pad in zip(shape[1:3], kernel, padding, strict=True):
        assume(size + sum(pad) >= taps)
    x = draw(shape)
    conv = Conv2d(shape[3], out, kernel, stride, padding, bias=False)
    weight = draw_weights(conv)["weight"]
    forward = run_layer(conv, x, weights={"weight": weight}, isa=isa)
    y = draw(forward.shape, 2)
    # What the strides of the convolution leave over at the end, the transposed one adds.
    extra = tuple(
        (size + sum(pad) - taps) % step
        for size, taps, step, pad in zip(shape[1:3], kernel, stride, padding, strict=True)
    )
    adjoint = ConvTranspose2d(out, shape[3], kernel, stride, padding, extra, bias=False)
    exchanged = np.ascontiguousarray(weight.transpose(3, 1, 2, 0))
    back = run_layer(adjoint, y, weights={"weight": exchanged}, isa=isa)
    left = np.vdot(forward.astype(np.float64), y)
    right = np.vdot(x, back.astype(np.float64))
    magnitude = np.vdot(
        reference.conv2d(np.abs(x), np.abs(weight), stride=stride, padding=padding), np.abs(y)
    )
    length = max(weight[0].size, exchanged[0].size)
    assert abs(left - right) <= 2 * tolerance.gemm(magnitude, length, isa)


@every_isa
@pytest.mark.parametrize(
    "layer", [Conv2d(3, 5, 3, padding=1), Conv2d(3, 2, 3, padding=1), Linear(3, 5)], ids=str
)
def test_nan_and_infinity_reach_the_outputs_that_read_them_alone(layer, isa):
    x = draw((1, 6, 40, 3))
    x[0, 0, 0, 1], x[0, -1, -1, 2] = np.nan, np.inf
    got = run_layer(layer, x, weights=draw_weights(layer), isa=isa)
    reach = 2 if isinstance(layer, Conv2d) else 1
    expected = np.zeros((6, 40), bool)
    expected[:reach, :reach] = expected[-reach:, -reach:] = True
    np.testing.assert_array_equal(~np.isfinite(got[0]).all(axis=-1), expected)


SPECIAL = np.float32([np.nan, np.inf, -np.inf, -1.5, 0, 2])
ACTIVATIONS = {
    "relu": (ReLU(), [np.nan, np.inf, 0, 0, 0, 2]),
    "leaky": (LeakyReLU(0.25), [np.nan, np.inf, -np.inf, -0.375, 0, 2]),
    "steep": (LeakyReLU(2.0), [np.nan, np.inf, -np.inf, -3, 0, 2]),
    "tanh": (Tanh(), np.tanh(SPECIAL)),
}


@every_gemm
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize(
    ("layer", "size"),
    [
        (Conv2d(32, 48, 1), 8),
        (Conv2d(3, 24, 3, padding=1), 8),
        (Conv2d(20, 3, 3, padding=1), 8),
        (ConvTranspose2d(64, 3, 5, stride=2, padding=((1, 2), (1, 2))), 32),
    ],
    ids=str,
)
def test_activations_of_what_is_not_finite(layer, size, activation, isa):
    """The bias is what comes out of the sums."""
    function, expected = ACTIVATIONS[activation]
    graph = Graph("activation")
    y = graph.add("layer", layer, graph.input("x", Shape(size, size, layer.in_channels)))
    graph.output(graph.add("activation", function, y))
    repeats = -(-layer.out_channels // len(SPECIAL))
    weights = {
        "layer.weight": np.zeros(layer.parameters()["weight"], np.float32),
        "layer.bias": np.tile(SPECIAL, repeats)[: layer.out_channels],
    }
    output = np.zeros((2, *y.shape), np.float32)
    run_program(lower(graph, weights), [draw((2, size, size, layer.in_channels))], [output], isa)
    wanted = np.tile(np.float32(expected), repeats)[: layer.out_channels]
    np.testing.assert_allclose(output, np.broadcast_to(wanted, output.shape), rtol=1e-5)


@every_isa
def test_direct_and_auto_agree(isa):
    layer = Conv2d(24, 40, 3, padding=1)
    x, weights = draw((1, 12, 12, 24)), draw_weights(layer)
    auto = run_layer(layer, x, weights=weights, isa=isa)
    direct = run_layer(layer, x, weights=weights, isa=isa, algorithm="direct")
    magnitude = reference.conv2d(np.abs(x), **{k: np.abs(v) for k, v in weights.items()}, padding=1)
    tolerance.assert_within(
        auto, direct.astype(np.float64), 2 * tolerance.gemm(magnitude, 216, isa)
    )
