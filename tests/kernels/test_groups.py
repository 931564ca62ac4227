"""Convolutions of groups of channels against their definition, on every engine."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from one_layer import draw, draw_weights, every_gemm, every_gemm_engine, every_isa, run_layer
from shapes import few, maps, pads, pair_of

import tolerance
from bench import reference
from engines import ISAS, run_program
from facegen import kernels
from facegen.nn import (
    Add,
    BatchNorm,
    Clip,
    Conv2d,
    ConvTranspose2d,
    Graph,
    PReLU,
    Shape,
    SiLU,
    lower,
)
from facegen.nn.program import Depthwise, Gemm


def check(layer, x, options, **engine):
    weights = draw_weights(layer)
    transposed = isinstance(layer, ConvTranspose2d)
    definition = reference.conv_transpose2d if transposed else reference.conv2d
    got = run_layer(layer, x, weights=weights, **engine)
    want = definition(x, **weights, **options)
    magnitude = definition(np.abs(x), **{k: np.abs(v) for k, v in weights.items()}, **options)
    length = int(np.prod(layer.weight_shape[1:])) + 1
    isa = engine["isa"]
    if layer.is_depthwise and not transposed:
        bound = tolerance.gemm(magnitude, length, ISAS[0])  # multiply-adds everywhere
        if "float16" in isa:
            bound = bound + 2**-11 * np.abs(want)  # what a step before it would leave
    else:
        bound = tolerance.winograd(magnitude, length) + tolerance.gemm(magnitude, length, isa)
    tolerance.assert_within(got, want, bound)


WINDOWS = [
    {"kernel": 3, "padding": 1},
    {"kernel": 3, "stride": 2, "padding": 1},
    {"kernel": 5, "padding": 2},
    {"kernel": 5, "stride": 2, "padding": ((1, 2), (2, 1))},
    {"kernel": 3, "padding": 2, "dilation": 2},
    {"kernel": (1, 7), "stride": (2, 1), "padding": (0, 3)},
    {"kernel": 7},
    {"kernel": 2, "padding": 3},  # windows that hold nothing
    {"kernel": 1, "stride": 3},
]


def definition_options(options):
    return {name: value for name, value in options.items() if name != "kernel"}


@every_gemm_engine
@pytest.mark.parametrize("options", WINDOWS, ids=str)
@pytest.mark.parametrize("channels", [2, 16, 33, 64])
def test_depthwise(options, channels, isa, threads):
    x = draw((2, 11, 23, channels))
    layer = Conv2d(channels, channels, **options, groups=channels, bias=channels != 16)
    groups = {**definition_options(options), "groups": channels}
    check(layer, x, groups, isa=isa, threads=threads)


@every_isa
@few
@given(maps, pair_of[5], pair_of[3], st.tuples(pads, pads), pair_of[3])
def test_depthwise_of_any_shape(isa, shape, kernel, stride, padding, dilation):
    channels = shape[3]
    assume(channels > 1)
    for size, taps, pad, spread in zip(shape[1:3], kernel, padding, dilation, strict=True):
        assume(size + sum(pad) >= (taps - 1) * spread + 1)
    options = {"stride": stride, "padding": padding, "dilation": dilation}
    layer = Conv2d(channels, channels, kernel, **options, groups=channels)
    check(layer, draw(shape), {**options, "groups": channels}, isa=isa)


TRANSPOSED = [{"kernel": 4, "stride": 2, "padding": 1}, {"kernel": 3}]
GROUPS = [  # channels in, channels out, groups
    (32, 64, 2),  # AlexNet
    (64, 64, 16),  # ResNeXt: 8 groups joined, then the others
    (60, 60, 3),  # ShuffleNet
    (21, 42, 21),  # depthwise with a multiplier: 16 joined, then 5
    (12, 6, 3),
    (6, 6, 2),
]


@every_gemm
@pytest.mark.parametrize("sizes", GROUPS, ids=str)
@pytest.mark.parametrize("options", WINDOWS[:3] + WINDOWS[4:5] + WINDOWS[-1:], ids=str)
def test_grouped(sizes, options, isa):
    channels, out, groups = sizes
    layer = Conv2d(channels, out, **options, groups=groups)
    groups = definition_options(options) | {"groups": groups}
    check(layer, draw((2, 9, 13, channels)), groups, isa=isa)


@every_gemm
@pytest.mark.parametrize("sizes", [*GROUPS, (8, 8, 8)], ids=str)
@pytest.mark.parametrize("options", TRANSPOSED, ids=str)
def test_grouped_transposed(sizes, options, isa):
    channels, out, groups = sizes
    layer = ConvTranspose2d(channels, out, **options, groups=groups)
    groups = definition_options(options) | {"groups": groups}
    check(layer, draw((2, 5, 9, channels)), groups, isa=isa)


@every_gemm
@pytest.mark.parametrize("groups", [4, 48])
@pytest.mark.parametrize("activation", [Clip(0, 6), SiLU(), PReLU(48)], ids=str)
def test_what_follows_groups_is_their_epilogue(groups, activation, isa):
    """Constants by channel, and another map, are cut as the groups are."""
    graph = Graph("groups")
    x = graph.input("x", Shape(10, 12, 48))
    other = graph.input("other", Shape(10, 12, 48))
    y = graph.add("conv", Conv2d(48, 48, 3, padding=1, groups=groups, bias=False), x)
    y = graph.add("norm", BatchNorm(48), y)
    y = graph.add("sum", Add(), y, other)
    y = graph.add("activation", activation, y)
    graph.output(graph.add("scaled", BatchNorm(48), y))
    rng = np.random.default_rng(3)
    weights = {
        name: rng.uniform(0.5, 1.5, shape).astype(np.float32)
        for name, shape in graph.parameters.items()
    }
    weights["conv.weight"] = draw(weights["conv.weight"].shape) / np.float32(10)
    program = lower(graph, weights)
    if groups == 48:
        assert [type(step) for step in program.steps] == [Depthwise]
    else:
        assert [type(step) for step in program.steps] == [Gemm] * 2
    inputs = [draw((2, 10, 12, 48)), draw((2, 10, 12, 48), 1)]
    got = np.full((2, 10, 12, 48), np.nan, np.float32)
    run_program(program, inputs, [got], isa)
    (want,) = reference.run_graph(graph, weights, *inputs)
    length = 9 * 48 // groups
    magnitude = np.float64(3 * length)  # of factors up to 4 and 0.4, and of norms of up to 3
    bound = tolerance.gemm(magnitude, length, isa)
    bound += tolerance.winograd(np.full((1, 1, 1, 1), magnitude), length).max()
    tolerance.assert_within(got, want, bound)


@pytest.mark.parametrize("op", [kernels.conv2d, kernels.conv_transpose2d])
@pytest.mark.parametrize(
    ("groups", "message"),
    [
        (3, "3 groups do not divide 2 channels"),
        (0, "groups must be a whole number, at least 1, not 0"),
        (1.5, "at least 1, not 1.5"),
        ("2", "at least 1, not '2'"),
    ],
)
def test_the_ops_refuse_groups(op, groups, message):
    x, weight = np.zeros((1, 4, 4, 2), np.float32), np.zeros((3, 3, 3, 1), np.float32)
    with pytest.raises(ValueError, match=message):
        op(x, weight, groups=groups)


@pytest.mark.parametrize("op", [kernels.conv2d, kernels.conv_transpose2d])
def test_what_is_not_finite_reaches_the_groups_joined_with_its_own(op):
    """As their Notes say. Of depthwise convolutions it stays in its channel."""
    x = np.ones((1, 1, 1, 4), np.float32)
    x[..., 0] = np.nan
    two = op(x, np.ones((4, 1, 1, 2), np.float32), groups=2)
    assert np.isnan(two).all()
    depthwise = kernels.conv2d(x, np.ones((4, 1, 1, 1), np.float32), groups=4)
    assert np.isnan(depthwise[0, 0, 0]).tolist() == [True, False, False, False]


def test_groups_that_do_not_divide_the_channels():
    with pytest.raises(ValueError, match="3 groups do not divide 6 channels in and 8 out"):
        Conv2d(6, 8, 3, groups=3)
    with pytest.raises(ValueError, match="groups of ConvTranspose2d must be at least 1, not 0"):
        ConvTranspose2d(6, 6, 3, groups=0)


def test_parts_of_groups():
    assert [part.in_channels for part in Conv2d(128, 256, 3, groups=32).parts] == [16] * 8
    assert [part.out_channels for part in Conv2d(21, 42, 3, groups=21).parts] == [32, 10]
    assert len(Conv2d(512, 512, 3, groups=2).parts) == 2
