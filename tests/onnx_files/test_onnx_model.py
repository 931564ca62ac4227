"""Whole networks from ONNX files, and the model that runs them."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from onnx_graphs import evaluate, helper, make, numpy_helper, onnx, op, save

import facegen
from bench.onnx_model import onnx_model
from facegen.engine import Runner
from facegen.networks import NETWORKS
from facegen.nn import Conv2d, Graph, Shape, lower
from facegen.onnx_files import read
from random_weights import random_weights

LARGE = [pytest.param(name, marks=pytest.mark.slow) for name in ("resnet18", "pix2pix")]


@pytest.mark.parametrize("name", ["lenet", "dcgan", "segmentation", *LARGE])
def test_our_networks_there_and_back(tmp_path: Path, name: str) -> None:
    network = NETWORKS[name]
    graph, weights = network.graph(), network.initial_weights(1)
    path = save(tmp_path, onnx_model(graph, weights, batch=2))
    (shape,) = (tensor.shape for tensor in graph.inputs)
    x = np.random.default_rng(1).uniform(*network.input_range, (3, *shape)).astype(np.float32)
    want = Runner(lower(graph, weights), device="cpu")(x)
    model = facegen.load(path, device="cpu")
    bound = 1e-5 * np.abs(want).max()
    np.testing.assert_allclose(model(x, layout="NHWC"), want, rtol=0, atol=bound)
    np.testing.assert_array_equal(
        model(x.transpose(0, 3, 1, 2)), model(x, layout="NHWC").transpose(0, 3, 1, 2)
    )


def test_layers_of_ours(tmp_path: Path) -> None:
    graph = Graph("one")
    layer = Conv2d(3, 4, (3, 2), (2, 2), ((1, 0), (0, 1)), (1, 1))
    graph.output(graph.add("conv", layer, graph.input("x", Shape(6, 5, 3))))
    weights = random_weights(graph, np.random.default_rng(1))
    found = read(save(tmp_path, onnx_model(graph, weights, batch=1)))
    assert found.graph.nodes == graph.nodes
    assert found.weights.keys() == weights.keys()
    for name, values in weights.items():
        np.testing.assert_array_equal(found.weights[name], values)


def two_ended(tmp_path: Path) -> Path:
    ops = [
        op("Add", "left right", "sum"),
        op("Flatten", "sum", "flat"),
        op("Transpose", "sum", "turned", perm=[0, 2, 1, 3]),
    ]
    inputs = {"left": ["n", 2, 3, 4], "right": ["n", 2, 3, 4]}
    outputs = {"sum": 4, "flat": 2, "turned": 4, "left": 4}
    return save(tmp_path, make(ops, inputs, outputs))


def test_inputs_and_outputs_by_name(tmp_path: Path) -> None:
    model = facegen.load(two_ended(tmp_path), device="cpu")
    assert [str(end) for end in model.inputs] == ["left (n, 2, 3, 4)", "right (n, 2, 3, 4)"]
    assert [end.name for end in model.outputs] == ["sum", "flat", "turned", "left"]
    a, b = np.random.default_rng(1).standard_normal((2, 5, 2, 3, 4), dtype=np.float32)
    for found in (model(a, b), model({"right": b, "left": a})):
        for got, want in zip(
            found, (a + b, (a + b).reshape(5, -1), (a + b).swapaxes(1, 2), a), strict=True
        ):
            np.testing.assert_array_equal(got, want)
    with pytest.raises(ValueError, match="expected the inputs left, right, found left, up"):
        model({"left": a, "up": b})
    with pytest.raises(ValueError, match="takes 2 arrays, not 1"):
        model(a)
    with pytest.raises(ValueError, match=r"expected an array of shape \(n, 2, 3, 4\)"):
        model(a, b[:, :1])


def test_no_rows(tmp_path: Path) -> None:
    """Also of outputs that lie in an order of their own."""
    model = facegen.load(two_ended(tmp_path), device="cpu")
    none = np.zeros((0, 2, 3, 4), np.float32)
    shapes = [result.shape for result in model(none, none)]
    assert shapes == [(0, 2, 3, 4), (0, 24), (0, 3, 2, 4), (0, 2, 3, 4)]


def test_sizes_of_minus_one_are_free(tmp_path: Path) -> None:
    slices = {"first": np.array([1]), "last": np.array([4]), "axes": np.array([2])}
    ops = [op("Relu", "x", "r"), op("Slice", "r first last axes", "y")]
    model = make(ops, {"x": [-1, 2, -1, -1]}, {"y": 4}, slices)
    model.graph.value_info.append(helper.make_tensor_value_info("r", 1, [-1, 2, -1, -1]))
    x = np.random.default_rng(1).standard_normal((3, 2, 7, 5), dtype=np.float32)
    y = facegen.load(save(tmp_path, model), device="cpu")(x)
    np.testing.assert_array_equal(y, np.maximum(x, 0)[:, :, 1:4])


def test_a_model_says_what_it_is_and_is_pickled(tmp_path: Path) -> None:
    path = save(tmp_path, make([op("Tanh", "x", "y")], {"x": ["n", 7]}, {"y": 2}))
    model = facegen.load(str(path), device="cpu", precision="strict", threads=1)
    assert repr(model) == "<GraphModel of small: x (n, 7) -> y (n, 7) on cpu, strict>"
    x = np.ones((2, 7), np.float32)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(model))(x), model(x))


def test_tensors_of_torch(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    model = facegen.load(two_ended(tmp_path), device="cpu")
    a, b = torch.randn(2, 5, 2, 3, 4)
    for got, want in zip(model(a, b), model(a.numpy(), b.numpy()), strict=True):
        np.testing.assert_array_equal(got.numpy(), want)


def test_data_beside_the_model(tmp_path: Path) -> None:
    weight = np.random.default_rng(1).standard_normal((7, 3), dtype=np.float32)
    model = make([op("MatMul", "x w", "y")], {"x": ["n", 7]}, {"y": 2}, {"w": weight})
    path = tmp_path / "model.onnx"
    whole = onnx.ModelProto()
    whole.CopyFrom(model)
    onnx.save(model, path, save_as_external_data=True, location="w.bin", size_threshold=0)
    x = np.ones((2, 7), np.float32)
    np.testing.assert_allclose(
        facegen.load(path, device="cpu")(x), evaluate(whole, x)[0], rtol=1e-5
    )


def test_halves_are_widened(tmp_path: Path) -> None:
    model = make(
        [op("Conv", "x w", "y")], {"x": [1, 2, 4, 4]}, {"y": 4}, {"w": np.ones((1, 2, 3, 3), "f4")}
    )
    for end in (*model.graph.input, *model.graph.output):
        end.type.tensor_type.elem_type = onnx.TensorProto.FLOAT16
    half = numpy_helper.to_array(model.graph.initializer[0]).astype(np.float16)
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(half, "w"))
    y = facegen.load(save(tmp_path, model), device="cpu")(np.ones((1, 2, 4, 4), np.float32))
    assert y.dtype == np.float32 and (y == 18).all()
