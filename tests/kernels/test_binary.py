"""Products of signs: exact on every engine, padding and all, and the same bits on all of them."""

from __future__ import annotations

import numpy as np
import pytest
from one_layer import draw, every_engine, every_isa

from bench import reference
from engines import ISAS, device_of, run_program
from facegen import nn
from facegen.nn import Graph, Shape, lower
from facegen.nn.fit import fit
from facegen.nn.program import Gemm


def signs(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    return np.where(draw(shape, seed) < 0, np.float32(-1), np.float32(1))


def behind_a_sign(layer: nn.Layer, shape: Shape, *behind: nn.Layer) -> Graph:
    graph = Graph("binary")
    y = graph.add("sign", nn.Sign(), graph.input("x", shape))
    y = graph.add("layer", layer, y)
    for i, each in enumerate(behind):
        y = graph.add(f"behind{i}", each, y)
    graph.output(y)
    return graph


def weights_of(graph: Graph, seed: int = 1) -> dict[str, np.ndarray]:
    """Norms whose thresholds are among the sums, of both signs, and one scale of 0."""
    weights = {}
    for i, (name, shape) in enumerate(graph.parameters.items()):
        weights[name] = draw(shape, seed + i) * np.float32(1 if name.endswith("weight") else 3)
        if name.endswith("var"):
            weights[name] = np.abs(weights[name]) + 1
        if name.endswith("gamma"):
            weights[name][shape[0] // 2] = 0
    return weights


def check(graph: Graph, images: int, isa: str, threads: int = 1) -> None:
    weights = weights_of(graph)
    program = lower(graph, weights)
    binary = [step for step in program.steps if isinstance(step, Gemm) and step.binary]
    assert len(binary) == 1
    if isa in ISAS:
        fitted = fit(program, device_of(isa))
        assert [k for k in fitted.kernels if k == "binary"] == ["binary"]
    shape = graph.inputs[0].shape
    x = draw((images, *shape), 7)
    got = np.full((images, *graph.outputs[0].shape), np.nan, np.float32)
    run_program(program, [x], [got], isa, threads)
    (want,) = reference.run_graph(graph, weights, x)
    np.testing.assert_array_equal(got, want)


# Channels that fill no word, one, and several; panels that are cut; strides, holes and borders.
LAYERS = [
    (nn.Conv2d(3, 5, 3, padding=1, bias=False, binary=True), (4, 5)),
    (nn.Conv2d(64, 64, 3, padding=1, bias=False, binary=True), (7, 6)),
    (nn.Conv2d(65, 130, (2, 3), padding=((0, 2), (1, 0)), bias=False, binary=True), (5, 4)),
    (nn.Conv2d(31, 129, 3, stride=2, padding=1, dilation=2, bias=False, binary=True), (9, 8)),
    (nn.Conv2d(8, 257, 5, bias=False, binary=True), (5, 9)),
    (nn.Conv2d(256, 33, 1, bias=False, binary=True), (3, 1)),
    (nn.Linear(1, 1, bias=False, binary=True), (1, 1)),
    (nn.Linear(1000, 10, bias=False, binary=True), (1, 1)),
]


@every_engine
@pytest.mark.parametrize(("layer", "size"), LAYERS, ids=str)
def test_sums_are_exact(layer, size, isa, threads):
    check(behind_a_sign(layer, Shape(*size, layer.in_channels)), 3, isa, threads)


@every_isa
def test_more_products_than_16_bits_count(isa):
    """Counts are moved to floats in between: 70,000 products that all differ."""
    length = 70_000
    graph = behind_a_sign(nn.Linear(length, 3, bias=False, binary=True), Shape(1, 1, length))
    weights = {"layer.weight": np.full((3, length), -1, np.float32)}
    got = np.empty((1, 1, 1, 3), np.float32)
    run_program(lower(graph, weights), [np.ones((1, 1, 1, length), np.float32)], [got], isa)
    assert (got == -length).all()


@every_engine
@pytest.mark.parametrize("norm", [True, False])
@pytest.mark.parametrize("pool", [True, False])
def test_a_norm_before_a_sign_is_a_threshold(pool, norm, isa, threads):
    """Folded: no scale is left, and the result is the definition's to the last sign."""
    layer = nn.Conv2d(24, 40, 3, padding=1, bias=True, binary=True)
    behind = [*([nn.MaxPool2d(2)] if pool else []), *([nn.BatchNorm(40)] if norm else [])]
    graph = behind_a_sign(layer, Shape(6, 6, 24), *behind, nn.Sign())
    program = lower(graph, weights_of(graph))
    assert all(step.epilogue.scale is None for step in program.steps)
    check(graph, 2, isa, threads)


def test_thresholds_are_met_exactly():
    """A sum that is the threshold is not negative, on either side; one below it is."""
    graph = behind_a_sign(
        nn.Linear(8, 4, bias=False, binary=True), Shape(1, 1, 8), nn.BatchNorm(4, eps=0), nn.Sign()
    )
    weights = {
        "layer.weight": np.ones((4, 8), np.float32),
        "behind0.gamma": np.float32([1 / 3, -1 / 3, 1 / 3, -1 / 3]),
        "behind0.beta": np.zeros(4, np.float32),
        "behind0.mean": np.float32([2, 2, 4, 0]),
        "behind0.var": np.float32([7, 7, 7, 7]),
    }
    x = np.float32([1, 1, 1, 1, 1, -1, -1, -1]).reshape(1, 1, 1, 8)  # the sum is 2
    for isa in ISAS:
        got = np.empty((1, 1, 1, 4), np.float32)
        run_program(lower(graph, weights), [x], [got], isa)
        assert got.ravel().tolist() == [1, 1, -1, -1]


def test_real_inputs_of_binary_weights_are_no_counts_of_bits():
    graph = Graph.of_layer("real", nn.Linear(9, 4, binary=True), Shape(1, 1, 9))
    weights, x = weights_of(graph), draw((2, 1, 1, 9))
    program = lower(graph, weights)
    assert not any(isinstance(step, Gemm) and step.binary for step in program.steps)
    got = np.empty((2, 1, 1, 4), np.float32)
    run_program(program, [x], [got])
    (want,) = reference.run_graph(graph, weights, x)
    np.testing.assert_allclose(got, want, atol=1e-5)


def test_a_relu_between_norm_and_sign_is_no_threshold():
    layer = nn.Conv2d(8, 8, 3, bias=False, binary=True)
    graph = behind_a_sign(layer, Shape(5, 5, 8), nn.BatchNorm(8), nn.ReLU())
    weights, x = weights_of(graph), draw((2, 5, 5, 8))
    got = np.empty((2, 3, 3, 8), np.float32)
    run_program(lower(graph, weights), [x], [got])
    (want,) = reference.run_graph(graph, weights, x)
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)


def test_signs_go_through_what_only_moves_them():
    graph = Graph("moved")
    x = graph.input("x", Shape(4, 4, 6))
    a = graph.add("a", nn.Sign(), x)
    b = graph.add("b", nn.MaxPool2d(2, 1, padding=((0, 1), (0, 1))), a)
    y = graph.add("both", nn.Concat(), a, b)
    y = graph.add("flat", nn.Reshape(Shape(1, 1, 192)), y)
    graph.output(graph.add("layer", nn.Linear(192, 7, bias=False, binary=True), y))
    check(graph, 2, ISAS[0])


def test_a_binary_layer_of_groups_is_refused():
    with pytest.raises(ValueError, match="a binary layer has one group, not 2"):
        nn.Conv2d(4, 4, 3, groups=2, binary=True)
