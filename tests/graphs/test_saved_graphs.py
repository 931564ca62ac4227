"""Graphs in .safetensors: there and back, and what is refused."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import facegen
from facegen import FormatError, graphs, nn
from facegen.graphs import End, GraphNetwork, same_computation
from facegen.graphs.data import LAYERS, MOST_NODES, from_data, to_data
from facegen.networks import NETWORKS
from facegen.nn import Affine, BatchNorm, Concat, Conv2d, Graph, ReLU, Shape
from facegen.weights import safetensors
from nn.graphs import random_graph
from random_weights import random_weights


def small() -> tuple[Graph, dict[str, np.ndarray]]:
    graph = Graph("small")
    x = graph.input("image", Shape(6, 5, 3))
    conv = Conv2d(3, 4, (3, 2), stride=np.int64(2), padding=((1, 0), (0, 1)))  # type: ignore[arg-type]
    y = graph.add("conv", conv, x)
    y = graph.add("bn", BatchNorm(4, eps=1e-3), y)
    graph.output(graph.add("relu", ReLU(), y))
    return graph, random_weights(graph, np.random.default_rng(1))


@pytest.mark.parametrize("name", NETWORKS)
def test_graphs_of_ours_as_data(name: str) -> None:
    graph = NETWORKS[name].graph()
    back = from_data(json.loads(json.dumps(to_data(graph))))
    assert back.name == graph.name and back.outputs == graph.outputs
    assert same_computation(back, graph)
    assert back.parameters == graph.parameters


@given(st.integers(0, 10_000))
def test_random_graphs_as_data(seed: int) -> None:
    graph = random_graph(seed)
    back = from_data(json.loads(json.dumps(to_data(graph))))
    assert back.nodes == graph.nodes and back.outputs == graph.outputs


def test_every_layer_is_known() -> None:
    layers = [each for each in nn.__all__ if each != "Layer"]
    kinds = [getattr(nn, name) for name in layers if isinstance(getattr(nn, name), type)]
    assert {each.__name__ for each in kinds if issubclass(each, nn.Layer)} == set(LAYERS)
    assert all(is_dataclass(each) for each in LAYERS.values())
    assert all(each.init for kind in LAYERS.values() for each in fields(kind))  # type: ignore[arg-type]


@pytest.mark.parametrize("half", [False, True])
def test_there_and_back(tmp_path: Path, half: bool) -> None:
    graph, weights = small()
    path = tmp_path / "small.safetensors"
    facegen.save(path, graph, weights, half=half)
    model = facegen.load(path, device="cpu")
    assert repr(model) == (
        "<GraphModel of small: image (n, 3, 6, 5) -> relu (n, 4, 3, 3) on cpu, float32>"
    )
    x = np.random.default_rng(2).standard_normal((2, 6, 5, 3), dtype=np.float32)
    want = facegen.GraphModel(graph, weights, device="cpu")(x, layout="NHWC")
    got = model(x, layout="NHWC")
    np.testing.assert_allclose(got, want, rtol=0, atol=0.02 if half else 0)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(model))(x, layout="NHWC"), got)
    facegen.save(tmp_path / "again.safetensors", model, half=half)
    assert (tmp_path / "again.safetensors").read_bytes() == path.read_bytes()


def test_vectors_are_as_people_have_them(tmp_path: Path) -> None:
    network = NETWORKS["dcgan"]
    path = tmp_path / "x.safetensors"
    weights = network.initial_weights(1)
    graphs.write(path, GraphNetwork.of(network.graph(), weights, "dcgan"))
    model = facegen.load(path, device="cpu")
    assert str(model.inputs[0]) == "latent (n, 100)"
    latents = np.ones((2, 100), np.float32)
    faces = model(latents, layout="NHWC")
    np.testing.assert_array_equal(faces, facegen.Generator(weights, device="cpu")(latents))
    # The same computation: what knows the network takes the file.
    assert facegen.Generator(path, device="cpu").network is network


def test_outputs_in_an_order_of_their_own(tmp_path: Path) -> None:
    graph, weights = small()
    order = np.arange(48).reshape(3, 4, 4).transpose(1, 0, 2)
    flat = Graph("flat")
    x = flat.input("x", Shape(1, 1, 48))
    flat.output(flat.add("y", ReLU(), x))
    network = GraphNetwork(flat, {}, (End("x", (48,)),), (End("y", order.shape, order),))
    graphs.write(tmp_path / "x.safetensors", network)
    model = facegen.load(tmp_path / "x.safetensors", device="cpu")
    x = np.random.default_rng(1).random((2, 48), np.float32)
    np.testing.assert_array_equal(model(x), x.reshape(2, 3, 4, 4).transpose(0, 2, 1, 3))
    many = End("y", (70_000,), np.arange(70_000))
    with pytest.raises(FormatError, match="a file takes at most 65,536"):
        graphs.write(tmp_path / "y", GraphNetwork(graph, weights, (), (many,)))


def test_an_output_of_no_dimensions(tmp_path: Path) -> None:
    """One number an image, (n,): what a file squeezes, or an ArgMax without its channel."""
    graph = Graph("number")
    graph.output(graph.add("y", ReLU(), graph.input("x", Shape(1, 1, 2))))
    network = GraphNetwork(graph, {}, (End("x", (2,)),), (End("y", (), np.array(1)),))
    graphs.write(tmp_path / "x.safetensors", network)
    x = np.array([[1, 2], [3, 4], [5, 6]], np.float32)
    np.testing.assert_array_equal(
        facegen.load(tmp_path / "x.safetensors", device="cpu")(x), [2, 4, 6]
    )


@pytest.mark.parametrize("extension", [".safetensors", ".onnx"])
def test_models_of_known_networks(tmp_path: Path, extension: str) -> None:
    if extension == graphs.ONNX:
        pytest.importorskip("onnx", reason="onnx is not installed")
    model = facegen.Generator(NETWORKS["dcgan"].initial_weights(1), device="cpu")
    path = tmp_path / f"x{extension}"
    facegen.save(path, model)
    latents = np.random.default_rng(1).standard_normal((2, 100), dtype=np.float32)
    back = facegen.load(path, device="cpu")
    assert back.graph_network.known_as == "dcgan"
    np.testing.assert_array_equal(back(latents, layout="NHWC"), model(latents))
    assert facegen.Generator(path, device="cpu").network is model.network


def test_what_save_takes(tmp_path: Path) -> None:
    _, weights = small()
    with pytest.raises(TypeError, match="expected a Graph or a model, found dict"):
        facegen.save(tmp_path / "x.safetensors", weights)  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


def test_what_is_not_saved(tmp_path: Path) -> None:
    graph, weights = small()
    with pytest.raises(FormatError, match=r"extension '.npz' is no format of graphs"):
        facegen.save(tmp_path / "x.npz", graph, weights)
    with pytest.raises(FormatError, match="tensor 'conv.weight' is missing"):
        facegen.save(tmp_path / "x.safetensors", graph)
    weights["bn.var"][0] = -1
    with pytest.raises(FormatError, match="weights of small: .*variance cannot be negative"):
        facegen.save(tmp_path / "x.safetensors", graph, weights)
    large = Graph("large")
    x = large.input("x", Shape(1, 1, 1))
    for i in range(9000):
        x = large.add(f"{i}{'x' * 100}", ReLU(), x)
    large.output(x)
    with pytest.raises(FormatError, match="its header would be"):
        facegen.save(tmp_path / "x.safetensors", large, {})
    assert not list(tmp_path.iterdir())


Change = Callable[[dict[str, Any]], object]


def conv(data: dict[str, Any]) -> dict[str, Any]:
    return data["nodes"][1]["fields"]


HOSTILE: dict[str, tuple[Change, str]] = {
    "unknown layer": (lambda d: d["nodes"][1].update(layer="Graph"), "unknown layer 'Graph'"),
    "dunder": (lambda d: d["nodes"][1].update(layer="__builtins__"), "unknown layer"),
    "unknown field": (lambda d: conv(d).update(axes=1), "Conv2d has no field 'axes'"),
    "no field": (lambda d: conv(d).pop("kernel"), "Conv2d lacks its field 'kernel'"),
    "wrong type": (
        lambda d: conv(d).update(kernel="3"),
        r"node 1 \('conv'\): field 'kernel' of Conv2d: expected a whole number or a list of "
        "numbers, found '3'",
    ),
    "true is no number": (lambda d: conv(d).update(stride=True), "expected a whole number"),
    "float for int": (lambda d: conv(d).update(out_channels=4.0), "expected a whole number"),
    "not finite": (
        lambda d: d["nodes"][2]["fields"].update(eps=float("nan")),
        "expected a finite number, found nan",
    ),
    "vast float": (lambda d: d["nodes"][2]["fields"].update(eps=10**400), "a finite number"),
    "negative": (lambda d: conv(d).update(out_channels=-4), "must be at least 1"),
    "three numbers": (lambda d: conv(d).update(kernel=[1, 2, 3]), "an int or a pair of ints"),
    "long list": (lambda d: conv(d).update(kernel=[1] * 99), "a list of numbers"),
    "vast map": (lambda d: d["nodes"][0].update(shape=[2**40] * 3), "too large"),
    "vast kernel": (lambda d: conv(d).update(kernel=2**70), "at most"),
    "vast table": (
        lambda d: d["nodes"][3].update(layer="Upsample", fields={"size": [2**29, 1]}),
        r"node 3 \('relu'\).* of an input 3x3x4 sums 536,870,912 times up to 2 rows",
    ),
    "vast weights": (
        lambda d: (conv(d).update(out_channels=2**40), d["nodes"].__delitem__(slice(2, 4)),
                   d.update(outputs=["conv"])),
        "ends|too large|expected shape",
    ),
    "input of two": (lambda d: d["nodes"][0].update(shape=[5, 5]), r"\[height, width, channels\]"),
    "later": (lambda d: d["nodes"][1].update(reads=["relu"]), "'relu' is no node before it"),
    "reads itself": (lambda d: d["nodes"][1].update(reads=["conv"]), "is no node before it"),
    "reads a list": (lambda d: d["nodes"][1].update(reads=[[]]), r"\[\] is no node before it"),
    "two inputs": (lambda d: d["nodes"][3].update(reads=["bn", "bn"]), "takes 1 input"),
    "twice": (lambda d: d["nodes"].append(d["nodes"][3]), "already has a layer named 'relu'"),
    "a path": (lambda d: d["nodes"][0].update(name="a b"), "a layer's name is letters"),
    "no outputs": (lambda d: d.update(outputs=[]), "expected 1 to 1,000 outputs, found 0"),
    "many outputs": (lambda d: d.update(outputs=["relu"] * 1001), "found 1,001"),
    "unknown output": (lambda d: d.update(outputs=["x"]), "'x' is no node before it"),
    "unknown entry": (lambda d: d.update(code="x"), "unknown entry 'code'"),
    "no nodes": (lambda d: d.update(nodes=[]), "expected 1 to 10,000 nodes, found 0"),
    "many nodes": (lambda d: d.update(nodes=[0] * (MOST_NODES + 1)), "found 10,001"),
    "no dict": (lambda d: d.update(nodes=[0]), "node 0: expected a dict, found 0"),
    "no name": (lambda d: d["nodes"][1].pop("name"), "node 1: has no 'name'"),
    "no ends": (lambda d: d.pop("ends"), "has no 'ends'"),
    "other ends": (lambda d: d["ends"].update(inputs=[]), "expected 1 inputs, found 0"),
    "other shape": (
        lambda d: d["ends"]["inputs"][0].update(shape=[3, 6, 6]),
        r"input 'image': is 6x5x3 in the graph, and \(3, 6, 6\) at the end",
    ),
    "order of inputs": (lambda d: d["ends"]["inputs"][0].update(order=[0]), "unknown entry"),
    "order beyond": (
        lambda d: d["ends"]["outputs"][0].update(shape=[2], order=[0, 36]),
        "its order names others than 36 numbers",
    ),
    "order below": (
        lambda d: d["ends"]["outputs"][0].update(shape=[2], order=[0, -1]),
        "its order names others",
    ),
    "short order": (lambda d: d["ends"]["outputs"][0].update(order=[0]), "as many numbers"),
    "vast order": (
        lambda d: d["ends"]["outputs"][0].update(shape=[1], order=[2**80]),
        "its order names others",
    ),
}  # fmt: skip


def rewritten(path: Path, change: Change) -> None:
    """The same file with its graph's JSON changed; the header stays right."""
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    graph = json.loads(header["__metadata__"]["graph"])
    change(graph)
    header["__metadata__"]["graph"] = json.dumps(graph)
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data[8 + length :])


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_graphs(tmp_path: Path, case: str) -> None:
    graph, weights = small()
    path = tmp_path / "x.safetensors"
    facegen.save(path, graph, weights)
    change, message = HOSTILE[case]
    rewritten(path, change)
    with pytest.raises(FormatError, match=message) as caught:
        facegen.load(path, device="cpu")
    assert str(caught.value).startswith(f"{path}: ") and "\n" not in str(caught.value)


def test_a_graph_that_is_no_json(tmp_path: Path) -> None:
    for text in ("{", "[" * 100_000, "1", "null"):
        safetensors.write(tmp_path / "x.safetensors", "x", {}, text)
        with pytest.raises(FormatError, match="x.safetensors: its (header|graph)"):
            facegen.load(tmp_path / "x.safetensors")


def test_weights_are_those_of_the_graph(tmp_path: Path) -> None:
    graph, weights = small()
    path = tmp_path / "x.safetensors"
    text = json.dumps(to_data(graph) | {"ends": {"inputs": [], "outputs": []}})
    safetensors.write(path, "x", {**weights, "more": np.zeros(3, np.float32)}, text)
    with pytest.raises(FormatError, match="expected 1 inputs"):
        facegen.load(path)
    facegen.save(path, graph, weights)
    rewritten(path, lambda d: conv(d).update(bias=False))
    with pytest.raises(FormatError, match="unknown tensor 'conv.bias'"):
        facegen.load(path)


@given(st.data())
def test_damaged_graphs(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """Any value in the place of any other: read, or refused in one line."""
    graph, weights = small()
    path = tmp_path_factory.getbasetemp() / "damaged.safetensors"
    facegen.save(path, graph, weights)
    values = st.sampled_from(
        [None, True, 0, -1, 7, 2**31, 2**80, 1.5, "x", "conv", "Conv2d", [], [1, 2], {}]
    )

    def change(node: Any) -> None:
        for _ in range(data.draw(st.integers(0, 5))):
            items = list(node.items() if isinstance(node, dict) else enumerate(node))
            key, value = data.draw(st.sampled_from(items)) if items else (None, None)
            if isinstance(value, (dict, list)) and value and data.draw(st.booleans()):
                node = value
                continue
            if key is not None:
                node[key] = data.draw(values)
            return

    rewritten(path, change)
    try:
        facegen.load(path, device="cpu")
    except FormatError as error:
        assert "\n" not in str(error)


def test_same_computation() -> None:
    def graph(name: str, scale: float = 2, **conv: Any) -> Graph:
        g = Graph("x")
        x = g.input("x", Shape(8, 8, 3))
        y = g.add("conv", Conv2d(3, 3, **{"kernel": 3, "padding": 1, **conv}), x)
        y = g.add(name, Affine(scale), y)
        g.output(g.add("c", Concat(), x, y))
        return g

    assert same_computation(graph("a"), graph("b", 2.0))
    assert not same_computation(graph("a"), graph("a", 2.5))
    assert same_computation(graph("a"), graph("a", kernel=[3, 3], padding=((1, 1), (1, 1))))
    assert not same_computation(graph("a"), graph("a", padding=2, dilation=2))
    assert not same_computation(graph("a"), graph("a", bias=False))


def test_coordinates_left_out_are_those_of_the_mode() -> None:
    def graph(**options: Any) -> Graph:
        g = Graph("x")
        g.output(g.add("up", nn.Upsample(scale=2, **options), g.input("x", Shape(8, 8, 3))))
        return g

    assert same_computation(graph(), graph(coordinates="half_pixel"))
    assert not same_computation(graph(), graph(coordinates="asymmetric"))
    assert same_computation(graph(mode="nearest"), graph(mode="nearest", coordinates="asymmetric"))


def test_numbers_that_no_file_gives_back_are_refused(tmp_path: Path) -> None:
    graph = Graph("elu")
    graph.output(graph.add("elu", nn.ELU(float("inf")), graph.input("x", Shape(1, 1, 3))))
    with pytest.raises(ValueError, match="layer 'elu': alpha must be finite, not inf"):
        facegen.save(tmp_path / "elu.safetensors", graph, {})
    assert list(tmp_path.iterdir()) == []


def test_a_model_is_saved_with_other_weights(tmp_path: Path) -> None:
    graph, weights = small()
    model = facegen.GraphModel(graph, weights, device="cpu")
    other = {name: 2 * each for name, each in weights.items()}
    path = tmp_path / "other.safetensors"
    facegen.save(path, model, other)
    written = facegen.load(path, device="cpu").weights
    assert all(np.array_equal(written[name], other[name]) for name in weights)
    with pytest.raises(FormatError, match="tensor"):
        facegen.save(tmp_path / "no.safetensors", model, {"conv.weight": weights["conv.weight"]})
    assert not (tmp_path / "no.safetensors").exists()
    digits = facegen.load("default:lenet", device="cpu")
    halved = {name: each / 2 for name, each in digits.weights.items()}
    facegen.save(path, digits, halved)
    back = facegen.load(path, device="cpu")
    assert back.graph_network.known_as == "lenet"
    written = back.weights
    assert all(np.array_equal(written[name], halved[name]) for name in halved)
