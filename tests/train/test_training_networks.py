"""Networks that others use are fine-tuned from the files that they come in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from facegen import graphs, nn, onnx_files, train
from facegen.engine import Runner
from facegen.graphs import GraphNetwork
from facegen.networks import resnet, squeezenet
from facegen.networks.families import mobilenet_v2
from facegen.networks.families.mobilenet_v2 import Block
from facegen.nn import Graph
from facegen.train.initial_weights import initial_weights


def mobilenet() -> Graph:
    """The strides and blocks are MobileNetV2's, of a quarter of its channels and fewer."""
    widths = [4, 6, 6, 8, 8, 8, 8, 8, 8, 8, 12, 12, 12, 16, 16, 16, 20]
    blocks, before = [], 8
    for i, width in enumerate(widths):
        blocks.append(Block(before if i == 0 else 6 * before, width, i > 0))
        before = width
    return mobilenet_v2.graph(mobilenet_v2.Sizes(8, tuple(blocks), 40, 3))


def resnet18() -> Graph:
    narrow = (8, 12, 16, 20)
    sizes = resnet.BASIC["resnet18"]._replace(inner=narrow, outer=narrow, stem=8, classes=3)
    return resnet.graph("resnet18", sizes)


NETWORKS: dict[str, Callable[[], Graph]] = {
    "mobilenet_v2": mobilenet,
    "resnet18": resnet18,
    "squeezenet": squeezenet.torchvision_graph,
}


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.cuda)])
@pytest.mark.parametrize("suffix", [".onnx", ".safetensors"])
@pytest.mark.parametrize("name", NETWORKS)
def test_fine_tuning_from_a_file(tmp_path: Path, name: str, suffix: str, device: str) -> None:
    graph = NETWORKS[name]()
    path = tmp_path / f"{name}{suffix}"
    files = onnx_files if suffix == ".onnx" else graphs
    if suffix == ".onnx":
        pytest.importorskip("onnx")
    files.write(path, GraphNetwork.of(graph, initial_weights(graph, 3)))
    network = files.read(path)

    random = np.random.default_rng(0)
    labels = np.arange(3)
    shape = network.graph.inputs[0].shape
    colours = random.uniform(-1, 1, (3, 1, 1, shape.channels))
    images = (colours + 0.1 * random.standard_normal((3, *shape))).astype(np.float32)
    trainer = train.Trainer(
        network.graph,
        "cross_entropy",
        train.Adam(rate=2e-3),
        weights={key: array.copy() for key, array in network.weights.items()},
        threads=2,
        device=device,
    )
    assert set(trainer.program.trained) == {
        key for key in network.weights if not key.endswith((".mean", ".var"))
    }
    losses = [trainer.step(images, labels).mean() for _ in range(8)]
    assert min(losses[4:]) < 0.7 * losses[0]
    probabilities = Runner(nn.lower(network.graph, trainer.weights), "cpu")(images)
    assert np.isfinite(probabilities).all()
