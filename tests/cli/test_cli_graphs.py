"""Commands with networks from files that have a graph."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from command_line import Run

import facegen
from facegen import FormatError
from facegen.graphs import GraphNetwork, write
from facegen.networks import NETWORKS
from facegen.nn import ConvTranspose2d, Graph, Linear, Reshape, Shape, Tanh
from random_weights import random_weights


def save_faces(path: str) -> None:
    """A network of its own from 100 numbers to 64x64 pictures."""
    graph = Graph("my-faces")
    x = graph.input("noise", Shape(1, 1, 100))
    x = graph.add("linear", Linear(100, 16 * 16 * 2), x)
    x = graph.add("map", Reshape(Shape(16, 16, 2)), x)
    x = graph.add("up", ConvTranspose2d(2, 3, 4, stride=4), x)
    graph.output(graph.add("tanh", Tanh(), x))
    facegen.save(path, graph, random_weights(graph, np.random.default_rng(1)))


def test_inspect(run: Run, tmp_path: Path) -> None:
    save_faces("mine.safetensors")
    result = run("inspect", "mine.safetensors")
    assert result.code == 0, result.err
    for text in ("safetensors with a graph", "noise (n, 100)", "tanh (n, 3, 64, 64)", "Linear"):
        assert text in result.out
    assert any(line.startswith("layer ") for line in result.out.splitlines()), result.out
    run("inspect", "mine.safetensors", "--json", "report.json")
    report = json.loads(Path("report.json").read_text())
    assert report["network"] == "my-faces" and report["outputs"][0]["shape"] == [3, 64, 64]


def test_faces_of_a_network_of_its_own(run: Run, tmp_path: Path) -> None:
    """Its inputs and outputs are a DCGAN's, so that what makes faces takes it."""
    save_faces("mine.safetensors")
    result = run(
        "generate", "--network", "mine.safetensors", "--seeds", "0-2", "-o", "x.npy",
        "--device", "cpu",
    )  # fmt: skip
    assert result.code == 0, result.err
    latents = facegen.networks.dcgan.latents(range(3))
    want = facegen.load("mine.safetensors", device="cpu")(latents, layout="NHWC")
    np.testing.assert_array_equal(np.load("x.npy"), want)
    with pytest.raises(FormatError, match="holds a my-faces network, expected a pix2pix network"):
        facegen.Pix2Pix("mine.safetensors")


def test_convert_a_network_of_its_own(run: Run, tmp_path: Path) -> None:
    save_faces("mine.safetensors")
    result = run("convert", "mine.safetensors", "half.safetensors", "--half")
    assert result.code == 0, result.err
    assert "half.safetensors: my-faces, 4 tensors" in result.out and "verified" in result.out
    assert Path("half.safetensors").stat().st_size < Path("mine.safetensors").stat().st_size
    result = run("convert", "mine.safetensors", "mine.bin")
    assert result.code == 2 and "'.bin' is no format of graphs" in result.err


def test_convert_back_to_a_network_of_ours(run: Run, tmp_path: Path) -> None:
    network = NETWORKS["lenet"]
    weights = network.initial_weights(1)
    write("graph.safetensors", GraphNetwork.of(network.graph(), weights))
    result = run("convert", "graph.safetensors", "plain.npz")
    assert result.code == 0 and "plain.npz: lenet, 8 tensors" in result.out, result
    result = run("digits", "graph.safetensors", "--network", "graph.safetensors")
    assert result.code == 1 and "graph.safetensors" in result.err  # it is no picture


def test_onnx_and_back(run: Run, tmp_path: Path) -> None:
    pytest.importorskip("onnx", reason="onnx is not installed")
    assert run("convert", "default", "first.bin").code == 0
    result = run("convert", "first.bin", "faces.onnx")
    assert result.code == 0 and "faces.onnx: dcgan, 26 tensors" in result.out, result
    assert run("convert", "faces.onnx", "second.bin").code == 0
    assert Path("first.bin").read_bytes() == Path("second.bin").read_bytes()
    save_faces("mine.safetensors")
    assert run("convert", "mine.safetensors", "mine.onnx").code == 0
    assert run("convert", "mine.onnx", "again.safetensors").code == 0
    x = np.random.default_rng(1).random((3, 100), np.float32)
    first, again = (facegen.load(f"{n}.safetensors", device="cpu")(x) for n in ("mine", "again"))
    np.testing.assert_array_equal(first, again)
