"""The networks of lectures, as Soumith Chintala's convnet-benchmarks has them: layer by layer.

None has local response normalisation or dropout there, and none a softmax. Classes are 1,000.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from facegen.nn import (
    Concat,
    Conv2d,
    GlobalAvgPool2d,
    Graph,
    Linear,
    MaxPool2d,
    ReLU,
    Reshape,
    Shape,
)
from facegen.nn.graph import Tensor

CLASSES = 1000


def _conv(
    graph: Graph,
    name: str,
    x: Tensor,
    channels: int,
    kernel: int,
    stride: int = 1,
    padding: int = 0,
) -> Tensor:
    layer = Conv2d(x.shape.channels, channels, kernel, stride, padding)
    return graph.add(f"{name}.relu", ReLU(), graph.add(name, layer, x))


def _classifier(graph: Graph, x: Tensor, sizes: Sequence[int]) -> None:
    """Linear layers with ReLUs between them."""
    x = graph.add("flat", Reshape(Shape(1, 1, x.shape.floats)), x)
    for i, size in enumerate(sizes, 1):
        x = graph.add(f"fc{i}.relu", ReLU(), graph.add(f"fc{i}", Linear(x.shape.channels, size), x))
    graph.output(graph.add("scores", Linear(x.shape.channels, CLASSES), x))


def alexnet() -> Graph:
    """Of one column (Krizhevsky 2014): 224x224 to 1,000 scores."""
    graph = Graph("alexnet")
    x = _conv(graph, "conv1", graph.input("image", Shape(224, 224, 3)), 64, 11, 4, 2)
    x = graph.add("pool1", MaxPool2d(3, 2), x)
    x = graph.add("pool2", MaxPool2d(3, 2), _conv(graph, "conv2", x, 192, 5, padding=2))
    for i, channels in enumerate((384, 256, 256), 3):
        x = _conv(graph, f"conv{i}", x, channels, 3, padding=1)
    _classifier(graph, graph.add("pool5", MaxPool2d(3, 2), x), (4096, 4096))
    return graph


def overfeat() -> Graph:
    """The fast one of Sermanet et al. 2013: 231x231 to 1,000 scores."""
    graph = Graph("overfeat")
    x = _conv(graph, "conv1", graph.input("image", Shape(231, 231, 3)), 96, 11, 4)
    x = _conv(graph, "conv2", graph.add("pool1", MaxPool2d(2), x), 256, 5)
    x = graph.add("pool2", MaxPool2d(2), x)
    for i, channels in enumerate((512, 1024, 1024), 3):
        x = _conv(graph, f"conv{i}", x, channels, 3, padding=1)
    _classifier(graph, graph.add("pool5", MaxPool2d(2), x), (3072, 4096))
    return graph


def vgg(name: str, counts: Sequence[int]) -> Graph:
    """Simonyan and Zisserman 2014: so many 3x3 convolutions in each of five stages."""
    graph = Graph(name)
    x = graph.input("image", Shape(224, 224, 3))
    for stage, (channels, count) in enumerate(
        zip((64, 128, 256, 512, 512), counts, strict=True), 1
    ):
        for i in range(1, count + 1):
            x = _conv(graph, f"conv{stage}_{i}", x, channels, 3, padding=1)
        x = graph.add(f"pool{stage}", MaxPool2d(2), x)
    _classifier(graph, x, (4096, 4096))
    return graph


def googlenet() -> Graph:
    """Szegedy et al. 2014 without the two classifiers on its sides; a ReLU at its end."""
    graph = Graph("googlenet")
    x = _conv(graph, "conv1", graph.input("image", Shape(224, 224, 3)), 64, 7, 2, 3)
    x = graph.add("pool1", MaxPool2d(3, 2, padding=1), x)
    x = _conv(graph, "conv2", _conv(graph, "conv2.reduce", x, 64, 1), 192, 3, padding=1)
    for stage, blocks in enumerate(INCEPTIONS, 3):
        x = graph.add(f"pool{stage - 1}", MaxPool2d(3, 2, padding=1), x)
        for letter, widths in zip("abcde", blocks, strict=False):
            x = _inception(graph, f"inception{stage}{letter}", x, *widths)
    x = graph.add("scores", Linear(1024, CLASSES), graph.add("mean", GlobalAvgPool2d(), x))
    graph.output(graph.add("scores.relu", ReLU(), x))
    return graph


# Channels of 1x1; of 1x1 before 3x3, 3x3; of 1x1 before 5x5, 5x5; of 1x1 behind the pool.
INCEPTIONS = (
    ((64, 96, 128, 16, 32, 32), (128, 128, 192, 32, 96, 64)),
    ((192, 96, 208, 16, 48, 64), (160, 112, 224, 24, 64, 64), (128, 128, 256, 24, 64, 64),
     (112, 144, 288, 32, 64, 64), (256, 160, 320, 32, 128, 128)),
    ((256, 160, 320, 32, 128, 128), (384, 192, 384, 48, 128, 128)),
)  # fmt: skip


def _inception(
    graph: Graph, name: str, x: Tensor, one: int, before3: int, three: int, before5: int,
    five: int, behind: int,
) -> Tensor:  # fmt: skip
    pool = graph.add(f"{name}.pool", MaxPool2d(3, 1, padding=1), x)
    columns = (
        _conv(graph, f"{name}.1x1", x, one, 1),
        _conv(graph, f"{name}.3x3", _conv(graph, f"{name}.before3", x, before3, 1), three, 3,
              padding=1),
        _conv(graph, f"{name}.5x5", _conv(graph, f"{name}.before5", x, before5, 1), five, 5,
              padding=2),
        _conv(graph, f"{name}.behind", pool, behind, 1),
    )  # fmt: skip
    return graph.add(f"{name}.concat", Concat(), *columns)


def vgg_a() -> Graph:
    """OxfordNet."""
    return vgg("vgg_a", (1, 1, 2, 2, 2))


def vgg16() -> Graph:
    """Configuration D."""
    return vgg("vgg16", (2, 2, 3, 3, 3))


def vgg19() -> Graph:
    """Configuration E."""
    return vgg("vgg19", (2, 2, 4, 4, 4))


CONVNETS: dict[str, Callable[[], Graph]] = {
    "alexnet": alexnet,
    "overfeat": overfeat,
    "vgg_a": vgg_a,
    "googlenet": googlenet,
}
