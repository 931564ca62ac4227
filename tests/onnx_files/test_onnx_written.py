"""Our graphs as ONNX, for its checker, its evaluator, onnxruntime and our own reader."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx_graphs import evaluate, onnx

import facegen
from facegen import FacegenError, FormatError
from facegen.graphs import End, GraphNetwork, same_computation
from facegen.graphs.data import LAYERS
from facegen.networks import NETWORKS
from facegen.networks.recognise import known_network
from facegen.nn import Affine, Concat, Graph, Linear, ReLU, Reshape, Shape, Upsample
from facegen.onnx_files import read, write
from facegen.onnx_files.emit import EMITTERS
from facegen.onnx_files.write import to_model
from nn.graphs import random_graph
from random_weights import random_weights

SMALL = ("dcgan", "lenet", "lenet-binary")
NAMES = [name if name in SMALL else pytest.param(name, marks=pytest.mark.slow) for name in NETWORKS]
# onnx's transposed convolutions of many channels take seconds; random graphs have small ones.
EVALUATED = [pytest.param("dcgan", marks=pytest.mark.slow) if n == "dcgan" else n for n in NAMES]


def network_of(name: str) -> GraphNetwork:
    network = NETWORKS[name]
    return GraphNetwork.of(network.graph(), network.initial_weights(1), name)


def inputs_of(network: GraphNetwork, n: int, low: float = -1, high: float = 1) -> list[np.ndarray]:
    rng = np.random.default_rng(1)
    return [rng.uniform(low, high, (n, *e.shape)).astype(np.float32) for e in network.inputs]


@pytest.mark.parametrize("name", NAMES)
def test_our_networks_read_back(tmp_path: Path, name: str) -> None:
    """The same network, found by its graph; the same weights, bit by bit."""
    network = network_of(name)
    path = tmp_path / "x.onnx"
    write(path, network)
    found = read(path)
    assert found.known_as == name
    assert known_network(found, NETWORKS.values()) is NETWORKS[name]
    assert [str(end) for end in found.inputs] == [str(end) for end in network.inputs]
    assert [str(end) for end in found.outputs] == [str(end) for end in network.outputs]
    layers = {node.name: node.layer for node in network.graph.nodes}
    for key, values in network.weights.items():
        if getattr(layers[key.rpartition(".")[0]], "binary", False):  # signs are all that counts
            values = np.where(values < 0, np.float32(-1), np.float32(1))
        np.testing.assert_array_equal(found.weights[key], values)
    names = {tensor.name for tensor in onnx.load(path).graph.initializer}
    assert names >= network.weights.keys()


@pytest.mark.parametrize("name", EVALUATED)
def test_our_networks_evaluated(name: str) -> None:
    """onnx's evaluator in float64, against our engine in the very products."""
    network = network_of(name)
    xs = inputs_of(network, 2 if name in SMALL else 1, *NETWORKS[name].input_range)
    model = to_model(network)
    assert [d.dim_param for d in model.graph.input[0].type.tensor_type.shape.dim][0] == "n"
    (want,) = evaluate(model, *xs)
    ours = facegen.GraphModel(network, device="cpu", algorithm="direct", precision="strict")
    np.testing.assert_allclose(ours(*xs), want, rtol=0, atol=2e-5 * np.abs(want).max())


@pytest.mark.parametrize("name", NAMES)
def test_our_networks_by_onnxruntime(tmp_path: Path, name: str) -> None:
    runtime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    network = network_of(name)
    write(tmp_path / "x.onnx", network)
    session = runtime.InferenceSession(tmp_path / "x.onnx", providers=["CPUExecutionProvider"])
    xs = inputs_of(network, 1, *NETWORKS[name].input_range)
    (want,) = session.run(None, {network.inputs[0].name: xs[0]})
    ours = facegen.GraphModel(network, device="cpu", precision="strict")(*xs)
    np.testing.assert_allclose(ours, want, rtol=0, atol=1e-4 * np.abs(want).max())


def checked(network: GraphNetwork, path: Path) -> GraphNetwork:
    """A network after it was written and read; its results are the evaluator's, and ours."""
    write(path, network)
    found = read(path)
    xs = inputs_of(network, 3)
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    nodes = [node.name for node in model.graph.node]
    assert len(set(nodes)) == len(nodes)  # ONNX Runtime takes no other
    options: dict[str, Any] = {"device": "cpu", "precision": "strict", "algorithm": "direct"}
    ours = facegen.GraphModel(network, **options)(*xs)
    back = facegen.GraphModel(found, **options)(*xs)
    single = not isinstance(ours, tuple)
    for a, b, want in zip(
        [ours] if single else ours, [back] if single else back, evaluate(model, *xs), strict=True
    ):
        bound = 1e-3 * max(1.0, np.abs(want).max())
        np.testing.assert_allclose(a, want, rtol=0, atol=bound)
        np.testing.assert_allclose(b, want, rtol=0, atol=bound)
    return found


@settings(max_examples=60)
@given(st.integers(0, 10_000))
def test_random_graphs(tmp_path_factory: pytest.TempPathFactory, seed: int) -> None:
    graph = random_graph(seed)
    names = [tensor.name for tensor in graph.outputs]
    outputs = tuple(
        End(f"{name}.out{i}", End.of(tensor).shape)
        for i, (name, tensor) in enumerate(zip(names, graph.outputs, strict=True))
    )
    weights = random_weights(graph, np.random.default_rng(seed))
    own = GraphNetwork.of(graph, weights)
    network = GraphNetwork(graph, own.weights, own.inputs, outputs)
    checked(network, tmp_path_factory.getbasetemp() / "random.onnx")


def test_every_layer_is_written() -> None:
    assert {each.__name__ for each in EMITTERS} == set(LAYERS)


def test_names_that_meet(tmp_path: Path) -> None:
    """A layer called as a parameter, as an output and as what is put between."""
    g = Graph("names")
    x = g.input("x", Shape(1, 1, 4))
    a = g.add("conv", Linear(4, 4), x)
    b = g.add("conv.weight", ReLU(), a)
    c = g.add("conv.map", Affine(2, 1), b)
    g.output(g.add("y", Concat(), a, b, c, x))
    g.output(a)
    network = GraphNetwork.of(g, random_weights(g, np.random.default_rng(1)))
    assert same_computation(checked(network, tmp_path / "x.onnx").graph, g)


def test_ends_of_all_forms(tmp_path: Path) -> None:
    """Rows (n, channels, width); outputs that are inputs; numbers in an order of their own."""
    g = Graph("ends")
    x = g.input("row", Shape(1, 5, 4))
    y = g.add("up", Upsample(size=(3, 7)), x)
    z = g.add("flat", Reshape(Shape(1, 1, 20)), g.add("relu", ReLU(), x))
    for tensor in (x, y, z):
        g.output(tensor)
    order = np.random.default_rng(1).permutation(20)
    outputs = (End("same", (4, 5)), End("map", (4, 3, 7)))
    outputs = (*outputs, End("some", (3, 2), order[:6].reshape(3, 2)))
    network = GraphNetwork(g, {}, (End("input", (4, 5)),), outputs)
    found = checked(network, tmp_path / "x.onnx")
    assert [str(end) for end in found.outputs] == [str(end) for end in outputs]
    plain = GraphNetwork(g, {}, (End("input", (4, 5)),), (*outputs[:2], End("all", (20,), order)))
    checked(plain, tmp_path / "y.onnx")


def test_ends_called_as_layers(tmp_path: Path) -> None:
    """A row, and numbers in another order, under the names of the layers that make them."""
    g = Graph("ends")
    x = g.input("x", Shape(1, 5, 4))
    g.output(g.add("row", ReLU(), x))
    g.output(g.add("some", ReLU(), g.add("flat", Reshape(Shape(1, 1, 20)), x)))
    outputs = (End("row", (4, 5)), End("some", (2,), np.array([7, 3])))
    checked(GraphNetwork(g, {}, (End("x", (4, 5)),), outputs), tmp_path / "x.onnx")


@pytest.mark.parametrize("mode", ["nearest", "linear"])
@pytest.mark.parametrize("scale", [0.1, 0.7, 0.9, 0.95, 1 / 3, 1.1])
def test_scales_come_back(tmp_path: Path, scale: float, mode: Any) -> None:
    """As sizes and as positions, though ONNX has scales as float32."""
    g = Graph("scaled")
    g.output(g.add("up", Upsample(scale=scale, mode=mode), g.input("x", Shape(20, 100, 3))))
    path = tmp_path / "x.onnx"
    write(path, GraphNetwork.of(g, {}))
    ours, found = g.nodes[-1], read(path).graph.nodes[-1]
    assert found.shape == ours.shape
    assert isinstance(ours.layer, Upsample) and isinstance(found.layer, Upsample)
    x = Shape(20, 100, 3)
    assert found.layer.taps(x) == ours.layer.taps(x)


def test_a_linear_layer_over_a_map(tmp_path: Path) -> None:
    g = Graph("map")
    g.output(g.add("linear", Linear(3, 5), g.input("x", Shape(4, 2, 3))))
    found = checked(
        GraphNetwork.of(g, random_weights(g, np.random.default_rng(1))), tmp_path / "x.onnx"
    )
    assert found.weights["linear.weight"].shape == (5, 1, 1, 3)


def test_what_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network = network_of("lenet")
    monkeypatch.setattr(sys.modules["facegen.onnx_files.write"], "MOST_BYTES", 1000)
    with pytest.raises(FormatError, match="x.onnx: ONNX files hold 1,000 bytes, the weights are"):
        write(tmp_path / "x.onnx", network)
    monkeypatch.undo()
    with pytest.raises(FormatError, match="half precision is for .safetensors only"):
        facegen.save(tmp_path / "x.onnx", network.graph, network.weights, half=True)
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(FacegenError, match="writing ONNX files needs onnx, which is missing: pip"):
        write(tmp_path / "x.onnx", network)
    assert not list(tmp_path.iterdir())
