"""Networks for maps of any size: from tables, from saved graphs, from ONNX."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import facegen
from facegen import FormatError, GraphModel
from facegen.graphs import End, GraphNetwork, for_any_size, resized
from facegen.networks import NETWORKS
from facegen.networks.per_size import MOST, PerSize
from facegen.networks.pix2pix import computed_size
from facegen.networks.segmentation import fitting_side
from facegen.nn import (
    Affine,
    Conv2d,
    ConvTranspose2d,
    GlobalAvgPool2d,
    Graph,
    InstanceNorm,
    Linear,
    MaxPool2d,
    ReLU,
    Reshape,
    Shape,
    Upsample,
)
from random_weights import random_weights


def convolutional(height: int = 8, width: int = 8) -> GraphNetwork:
    g = Graph("convolutional")
    x = g.input("x", Shape(height, width, 3))
    y = g.add("conv", Conv2d(3, 4, 3, stride=2, padding=1), x)
    y = g.add("norm", InstanceNorm(4), y)
    y = g.add("relu", ReLU(), y)
    g.output(g.add("up", ConvTranspose2d(4, 2, 4, stride=2, padding=1), y))
    z = g.add("mean", GlobalAvgPool2d(), y)
    g.output(g.add("scores", Linear(4, 5), z))
    return GraphNetwork.of(g, random_weights(g, np.random.default_rng(1)))


def test_another_size_is_the_same_layers() -> None:
    network = convolutional()
    other = resized(network, [(3, 12, 20)])
    assert other.graph.nodes == convolutional(12, 20).graph.nodes
    assert [str(end) for end in other.outputs] == ["up (n, 2, 12, 20)", "scores (n, 5)"]
    with pytest.raises(ValueError, match="Conv2d expects 3 channels, its input is 8x8x4"):
        resized(network, [(4, 8, 8)])


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (Reshape(Shape(1, 1, 48)), r"layer 'y' \(Reshape\) is for maps of one size alone"),
        (Upsample(size=(9, 9)), r"layer 'y' \(Upsample\) is for maps of one size alone"),
        (MaxPool2d((4, 4)), r"layer 'y' \(MaxPool2d\) is for maps of one size alone"),
    ],
)
def test_what_is_for_one_size(layer: Any, message: str) -> None:
    g = Graph("fixed")
    g.output(g.add("y", layer, g.input("x", Shape(4, 4, 3))))
    with pytest.raises(ValueError, match=message):
        for_any_size(GraphNetwork.of(g, {}))
    g = Graph("vector")
    g.output(g.add("y", ReLU(), g.input("x", Shape(1, 1, 3))))
    with pytest.raises(ValueError, match="it has no input"):
        for_any_size(GraphNetwork.of(g, {}))


def test_a_sum_is_of_one_size() -> None:
    """ONNX's ReduceSum: the mean times the pixels that there were."""
    g = Graph("sum")
    mean = g.add("mean", GlobalAvgPool2d(), g.input("x", Shape(4, 6, 3)))
    g.output(g.add("sum", Affine(24), mean))
    with pytest.raises(ValueError, match=r"layer 'sum' \(Affine\) is for maps of one size alone"):
        for_any_size(GraphNetwork.of(g, {}))


def test_a_row_beside_a_map_stays_one() -> None:
    g = Graph("row")
    for name, shape in (("map", Shape(4, 6, 3)), ("row", Shape(1, 5, 3))):
        g.output(g.add(f"{name}.relu", ReLU(), g.input(name, shape)))
    ends = (End("map", (3, 4, 6)), End("row", (3, 5)))
    network = for_any_size(GraphNetwork(g, {}, ends, ends))
    assert network.at is not None
    assert [e.shape for e in network.at([(3, 8, 9), (3, 5)]).outputs] == [(3, 8, 9), (3, 5)]


def test_a_saved_graph_of_any_size(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    network = convolutional()
    facegen.save(path, network.graph, network.weights)
    model = facegen.load(path, device="cpu", size="any")
    assert str(model.inputs[0]) == "x (n, 3, any, any)"
    rng = np.random.default_rng(1)
    for height, width in ((8, 8), (6, 10), (32, 4)):
        x = rng.standard_normal((2, 3, height, width), dtype=np.float32)
        want = GraphModel(convolutional(height, width), device="cpu")(x)
        for got in (model(x), facegen.load(path, device="cpu", size=(height, width))(x)):
            for a, b in zip(got, want, strict=True):
                np.testing.assert_array_equal(a, b)
        last, _ = model(x.transpose(0, 2, 3, 1), layout="NHWC")
        np.testing.assert_array_equal(last.transpose(0, 3, 1, 2), want[0])
    copied = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(copied(x)[0], want[0])
    with pytest.raises(ValueError, match="expected an array of shape"):
        model(x[:, :2])
    for size in ("x", (8,), (0, 8), 8, (8.0, 8)):
        with pytest.raises(ValueError, match="size must be"):
            facegen.load(path, size=size)


def test_our_networks_at_other_sizes(tmp_path: Path) -> None:
    """Of the course's only pix2pix is for any multiple of its size; none of vectors."""
    for name, size in (("lenet", (28, 28)), ("dcgan", (2, 2))):
        network = NETWORKS[name]
        path = tmp_path / f"{name}.safetensors"
        facegen.save(path, network.graph(), network.initial_weights(1))
        with pytest.raises(FormatError, match=f"{name}.safetensors: (layer|it has no input)"):
            facegen.load(path, size="any" if name == "lenet" else size)
    with pytest.raises(ValueError, match="has no graph, whose size"):
        facegen.load("default", size="any")


def test_the_last_few_sizes_are_kept() -> None:
    made: list[int] = []

    def make(key: int) -> int:
        made.append(key)
        return -key

    per_size = PerSize(make)
    assert [per_size(key) for key in (1, 1, 2, 1)] == [-1, -1, -2, -1] and made == [1, 2]
    for key in range(3, 3 + MOST - 1):
        per_size(key)
    per_size(1)  # 2 was not asked for the longest
    assert made.count(1) == 1
    per_size(2)
    assert made.count(2) == 2


@pytest.fixture
def symbolic(tmp_path: Path) -> Path:
    """What computes its shapes: a map flattened, back again, and resized by half of its size."""
    onnx_graphs = pytest.importorskip("onnx_files.onnx_graphs", reason="onnx is not installed")
    op = onnx_graphs.op
    ops = [
        op("Conv", "x w", "c", auto_pad="SAME_UPPER", strides=[2, 2]),
        op("Shape", "c", "sizes"),
        op("Reshape", "c flat", "f"),
        op("Relu", "f", "r"),
        op("Reshape", "r sizes", "m"),
        op("Resize", "m - s", "y", mode="linear"),
        op("GlobalMaxPool", "m", "z"),
    ]
    constants = {
        "w": np.random.default_rng(1).standard_normal((4, 3, 3, 3)).astype(np.float32),
        "flat": np.array([0, -1]),
        "s": np.float32([1, 1, 3, 3]),
    }
    model = onnx_graphs.make(ops, {"x": ["n", 3, "h", "w"]}, {"y": 4, "z": 4}, constants)
    return onnx_graphs.save(tmp_path, model)


def test_symbolic_sizes_of_onnx(symbolic: Path) -> None:
    from onnx_files.onnx_graphs import evaluate, onnx

    model = facegen.load(symbolic, device="cpu", precision="strict")
    assert repr(model) == (
        "<GraphModel of small: x (n, 3, any, any) -> y (n, 4, 384, 384), z (n, 4, 1, 1) on cpu, "
        "strict>"
    )
    rng = np.random.default_rng(1)
    models = [model, pickle.loads(pickle.dumps(model))]
    for size in ((7, 9), (10, 4), (1, 1)):
        x = rng.standard_normal((2, 3, *size), dtype=np.float32)
        want = evaluate(onnx.load(symbolic), x)
        for each in (*models, facegen.load(symbolic, device="cpu", size=size)):
            for a, b in zip(each(x), want, strict=True):
                np.testing.assert_allclose(a, b, rtol=0, atol=1e-4)
    assert model.at((3, 7, 9)) is model.at((3, 7, 9))
    with pytest.raises(ValueError, match=r"expected inputs x \(n, 3, any, any\), found shapes"):
        model.at((4, 7, 9))


def test_pix2pix_at_multiples_of_its_size() -> None:
    network = NETWORKS["pix2pix"]
    model = facegen.Pix2Pix(network.initial_weights(1), device="cpu")
    rng = np.random.default_rng(1)
    pixels = rng.integers(0, 256, (1, 256, 512, 3), np.uint8)
    wide = GraphModel(
        resized(GraphNetwork.of(network.graph(), model.weights), [(3, 256, 512)]), device="cpu"
    )
    want = wide.runner(pixels, pixels=True, as_pixels=True)
    np.testing.assert_array_equal(model(pixels), want)
    assert model(pixels).shape == pixels.shape
    image = Image.fromarray(pixels[0])
    np.testing.assert_array_equal(np.asarray(model(image, size=(256, 512))), want[0])
    np.testing.assert_array_equal(np.asarray(model(image, size="own")), want[0])
    small = Image.fromarray(pixels[0, :60, :90])
    both = model([image, small], size="own")
    assert [each.size for each in both] == [(512, 256), (256, 256)]
    np.testing.assert_array_equal(np.asarray(both[1]), np.asarray(model(small)))
    assert computed_size("own", (3000, 6000)) == (1024, 2048)
    for size in ("x", (256, 300), (0, 256), (256,)):
        with pytest.raises(ValueError, match="size must be"):
            model(image, size=size)
    with pytest.raises(FormatError, match="or multiples of 256, found uint8 of"):
        model(pixels[:, :, :300])


def test_segmentation_at_the_pictures_own_size() -> None:
    model = facegen.Segmenter(NETWORKS["segmentation"].initial_weights(1), device="cpu")
    assert [fitting_side(n) for n in (1, 40, 227, 230, 300)] == [35, 35, 227, 227, 307]
    pixels = np.random.default_rng(1).integers(0, 256, (90, 130, 3), np.uint8)
    prepared = model.prepare(pixels, own_size=True)
    assert prepared.shape == (83, 131, 3)
    classes = model.classes(prepared[None])
    assert classes.shape == (1, 83, 131) and len(np.unique(classes)) > 1
    own = model([pixels, np.zeros((227, 227, 3), np.uint8)], own_size=True)
    assert own[0].shape == (90, 130)
    np.testing.assert_array_equal(own[0], model.finish(classes[0], (90, 130)))
    np.testing.assert_array_equal(own[1], model(np.zeros((227, 227, 3), np.uint8)))
    with pytest.raises(ValueError, match="expected an array of shape"):
        model.classes(prepared[None, :80])
