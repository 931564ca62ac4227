"""Building graphs, what they refuse, and how they print."""

from __future__ import annotations

import doctest

import pytest

import facegen.nn.graph
import graphs
from facegen.nn import Conv2d, Graph, ReLU, Shape, Tensor


def test_example():
    failed, attempted = doctest.testmod(facegen.nn.graph)
    assert attempted > 0 and failed == 0


def test_parameters_are_in_the_order_of_the_layers():
    graph = graphs.dcgan_like()
    names = list(graph.parameters)
    assert names[:6] == [
        "proj.weight",
        "proj.bias",
        "bn0.gamma",
        "bn0.beta",
        "bn0.mean",
        "bn0.var",
    ]
    assert graph.parameters["tconv1.weight"] == (6, 5, 5, 8)


def test_printed_graph():
    graph = graphs.fire_like()
    lines = str(graph).splitlines()
    assert lines[0] == "fire-like -> up 7x7x5"
    assert any(line.split() == ["image", "input", "13x13x3", "-", "-"] for line in lines)
    (concat,) = (line for line in lines if line.startswith("fire2.concat"))
    assert "fire2.expand1.relu, fire2.expand3.relu" in concat
    assert lines[-1].startswith(f"{graph.parameter_count:,} parameters")


def test_mistakes_are_named():
    graph = Graph("net")
    x = graph.input("x", Shape(4, 4, 3))
    with pytest.raises(ValueError, match="net already has a layer named 'x'"):
        graph.add("x", ReLU(), x)
    with pytest.raises(ValueError, match="layer 'conv' of net: Conv2d expects 5 channels"):
        graph.add("conv", Conv2d(5, 5, 3), x)
    with pytest.raises(ValueError, match="'y' is not a tensor of net"):
        graph.add("relu", ReLU(), Tensor("y", Shape(4, 4, 3)))
    with pytest.raises(ValueError, match="'x' is not a tensor of net"):
        graph.output(Tensor("x", Shape(4, 4, 4)))
    with pytest.raises(ValueError, match="a layer's name is letters"):
        graph.add("a b", ReLU(), x)
    with pytest.raises(ValueError, match="at least 1 pixel and channel, not 0x4x3"):
        graph.input("z", Shape(0, 4, 3))
    assert [node.name for node in graph.nodes] == ["x"]
