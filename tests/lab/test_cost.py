"""Counts against the graphs' own, against papers, and receptive fields against gradients' reach."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facegen.engine import Runner
from facegen.errors import FacegenError
from facegen.lab import stacks
from facegen.lab.cost import cost, multiply_adds
from facegen.lab.fields import receptive_fields
from facegen.lab.named import graph_of, names
from facegen.nn import (
    Add,
    AvgPool2d,
    Conv2d,
    ConvTranspose2d,
    DepthToSpace,
    Graph,
    Layer,
    MaxPool2d,
    Reshape,
    Shape,
    SpaceToDepth,
    Upsample,
    lower,
)

LECTURES_STACKS = {
    "3x3xC x3": (27, 7),
    "7x7xC": (49, 7),
    "3x3xC x2": (18, 5),
    "5x5xC": (25, 5),
    "1x1xC/4, 3x3xC/4, 1x1xC": (Fraction(17, 16), 3),
    "1x7xC, 7x1xC": (14, 7),
}


@pytest.mark.parametrize("text", LECTURES_STACKS)
def test_the_lecture_s_stacks(text: str) -> None:
    factor, side = LECTURES_STACKS[text]
    stack = stacks.parse(text)
    assert stack.weights() == {2: factor}
    found = cost(stack.graph(20, 20, 64))
    assert found.parameters == factor * 64**2
    assert [each.size for each in found.field] == [side, side]
    assert found.multiply_adds == 20 * 20 * factor * 64**2  # every layer keeps the map's size


def test_depthwise_and_numbers() -> None:
    stack = stacks.parse("3x3xdw, 1x1x128")
    assert stack.weights() == {1: 9 + 128}
    assert stacks.polynomial({1: Fraction(9), 2: Fraction(1, 4)}) == "9 C + 0.25 C²"
    found = cost(stack.graph(8, 8, 64))
    assert found.parameters == 137 * 64 and found.multiply_adds == 8 * 8 * 137 * 64
    assert found.layers[0].kind == "depthwise 3x3"
    assert stacks.parse("7x7x64 s2").weights() is None
    assert stacks.parse("3x3x128, 1x1x64").own_channels == 64


@pytest.mark.parametrize(
    "text", ["3x3xC s0", "3x3xC d0", "3x3xC g0", "3x3xC x0", "0x3xC", "pool2x2 s0"]
)
def test_stacks_of_nothing_are_refused(text: str) -> None:
    with pytest.raises(FacegenError, match="expected numbers of at least 1"):
        stacks.parse(text)


def test_digits_of_stacks_are_those_of_ascii() -> None:
    for text in ("\u0663x3xC", "3x3x\u0666", "3x3xC s\u0662"):
        with pytest.raises(FacegenError, match="expected "):
            stacks.parse(text)


@pytest.mark.parametrize("name", names())
def test_networks_by_their_graphs(name: str) -> None:
    graph = graph_of(name)
    found = cost(graph)
    assert found.parameters == graph.parameter_count
    assert 2 * found.inside == graph.flops
    assert found.inside <= found.multiply_adds


def test_networks_by_their_papers() -> None:
    """Without padding's taps left out: table 2 of VGG (138 M), torchvision's own counts."""
    vgg = cost(graph_of("vgg16"))
    assert (vgg.parameters, vgg.multiply_adds) == (138_357_544, 15_470_264_320)
    alexnet = cost(graph_of("alexnet"))
    assert (alexnet.parameters, alexnet.multiply_adds) == (61_100_840, 714_188_480)
    mobile = cost(graph_of("mobilenet_v2"))  # and means and variances of 17,056 channels
    assert (mobile.parameters, mobile.multiply_adds) == (3_504_872 + 2 * 17_056, 300_774_272)
    # The maps of VGG-16, as its table has them: five stages and three linear layers.
    sides, channels, counts = (224, 112, 56, 28, 14), (64, 128, 256, 512, 512), (2, 2, 3, 3, 3)
    stages = zip(sides, channels, counts, strict=True)
    floats = sum(s * s * c * n + (s // 2) ** 2 * c for s, c, n in stages) + 4096 * 2 + 1000
    assert vgg.map_bytes == 4 * (floats + 224 * 224 * 3)


@settings(max_examples=15, deadline=None)
@given(st.data())
def test_a_formula_is_the_graph_s_count(data: st.DataObject) -> None:
    kernels = st.sampled_from(["1x1", "3x3", "1x5", "2x2"])
    widths = st.sampled_from(["C", "2C", "C/4", "24", "dw"])
    steps = data.draw(st.lists(st.tuples(kernels, widths, st.integers(1, 3)), min_size=1))
    text = ", ".join(f"{kernel}x{width} x{times}" for kernel, width, times in steps)
    stack, c = stacks.parse(text), 8 * data.draw(st.integers(1, 4))
    graph = stack.graph(9, 7, c)
    assert graph.outputs[0].shape[:2] == (9, 7)
    formula = stack.weights()
    if formula is not None:
        assert sum(f * c**power for power, f in formula.items()) == graph.parameter_count
    unpadded = stacks.parse("3x3xC p0, 1x1x8 p0").graph(9, 7, c)
    assert cost(unpadded).multiply_adds == cost(unpadded).inside == unpadded.flops // 2


def test_a_transposed_convolution_counts_its_inputs() -> None:
    layer = ConvTranspose2d(3, 5, 4, stride=2, padding=1)
    assert multiply_adds(layer, [Shape(6, 7, 3)]) == 6 * 7 * 16 * 3 * 5


LAYERS = (
    Conv2d(1, 1, 3, padding=1), Conv2d(1, 1, (1, 5), padding=((0, 0), (2, 2))),
    Conv2d(1, 1, 3, stride=2, padding=1), Conv2d(1, 1, 3, padding=2, dilation=2), MaxPool2d(2),
    AvgPool2d(3, 1, 1), ConvTranspose2d(1, 1, 4, stride=2, padding=1), Upsample(scale=2),
    Upsample(scale=2, mode="nearest"),
)  # fmt: skip


def reach(layers: list[Layer], axis: int, side: int) -> int:
    """From the first to the last pixel that the output's middle depends on: each is changed."""
    graph = Graph("probe")
    x = graph.input("x", Shape(side, side, 1))
    for i, layer in enumerate(layers):
        x = graph.add(f"l{i}", layer, x)
    graph.output(x)
    weights = {name: np.ones(shape, np.float32) for name, shape in graph.parameters.items()}
    runner = Runner(lower(graph, weights, "direct"), "cpu", 1)
    moved = np.zeros((side + 1, side, side, 1), np.float32)
    for i in range(side):
        moved[i + 1, slice(None) if axis else i, i if axis else slice(None)] = 1
    made = np.asarray(runner(moved))
    middle = made[:, made.shape[1] // 2, made.shape[2] // 2, 0]
    (seen,) = np.nonzero(middle[1:] != middle[0])
    return int(seen[-1] - seen[0]) + 1  # between them a dilated window has holes


@settings(max_examples=12, deadline=None)
@given(st.lists(st.sampled_from(LAYERS), min_size=1, max_size=4), st.integers(0, 1))
def test_fields_are_what_outputs_depend_on(layers: list[Layer], axis: int) -> None:
    """Never less than is seen; no more than the fractions of scaling up round to."""
    graph = Graph("g")
    x = graph.input("x", Shape(64, 64, 1))
    for i, layer in enumerate(layers):
        x = graph.add(f"l{i}", layer, x)
    size = receptive_fields(graph)[x.name][axis].size
    assert size is not None
    up = any(isinstance(each, ConvTranspose2d | Upsample) for each in layers)
    seen = reach(layers, axis, 64)
    if up:  # outputs of one map see different numbers of pixels: the field is the most
        assert seen <= size + 1
    else:
        assert seen == size


def test_fields_of_blocks_and_branches() -> None:
    graph = Graph("blocks")
    x = graph.input("x", Shape(8, 8, 4))
    wide = graph.add("wide", Conv2d(4, 4, 5, padding=2), x)
    narrow = graph.add("narrow", Conv2d(4, 4, 1), x)
    both = graph.add("both", Add(), wide, narrow)
    y = graph.add("back", SpaceToDepth(2), graph.add("out", DepthToSpace(2), both))
    flat = graph.add("flat", Reshape(Shape(1, 1, 256)), y)
    graph.output(flat)
    fields = receptive_fields(graph)
    assert fields["both"][0].size == 5 and fields["out"][0].jump == Fraction(1, 2)
    assert fields["back"][0] == (Fraction(11, 2), 1) and str(fields["flat"][0]) == "all"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("3x3x64 y", "found 'y'"),
        ("3x3x64 x2 x3", "found 'x3'"),
        ("3x3x64,", "found 'nothing'"),
        ("", "found 'nothing'"),
        ("pool2x2xC", "a pool keeps its channels"),
        ("0x3x4", "at least 1"),
        ("3x3xC/0", "C by at least 1"),
        ("3x3xC x999", "more than 200 layers"),
    ],
)
def test_words_that_are_no_stack(text: str, words: str) -> None:
    with pytest.raises(FacegenError, match=words):
        stacks.parse(text)


@pytest.mark.parametrize("text", ["3x3xC/3", "9x9xC p0", "3x3x64 g3", "3x3x64 d99 p0"])
def test_stacks_that_do_not_fit(text: str) -> None:
    with pytest.raises(FacegenError, match="stack '"):
        stacks.parse(text).graph(8, 8, 64)
