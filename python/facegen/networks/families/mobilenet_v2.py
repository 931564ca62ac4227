"""MobileNetV2 (Sandler et al. 2018, table 2) of any widths and classes, by torchvision's names.

| layer                                | output (HWC) | blocks | first stride |
|--------------------------------------|--------------|--------|--------------|
| image, RGB, `imagenet.normalised`    | 224x224x3    |        |              |
| features.0: conv 3x3, bn, ReLU6      | 112x112x32   |        | 2            |
| features.1: not widened              | 112x112x16   | 1      | 1            |
| features.2, ...                      | 56x56x24     | 2      | 2            |
|                                      | 28x28x32     | 3      | 2            |
|                                      | 14x14x64     | 4      | 2            |
|                                      | 14x14x96     | 3      | 1            |
|                                      | 7x7x160      | 3      | 2            |
| features.17                          | 7x7x320      | 1      | 1            |
| features.18: conv 1x1, bn, ReLU6     | 7x7x1280     |        |              |
| mean over the map, classifier.1, softmax | 1000     |        |              |

A block (inverted residual): 1x1 to six times the channels, bn, ReLU6; 3x3 depthwise, bn, ReLU6;
1x1, bn. Its input is added where the shape stays.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import NamedTuple

import numpy as np

from facegen.networks import imagenet
from facegen.networks.classifier import Classifier
from facegen.networks.families.mobile import conv_bn, seeded
from facegen.networks.foreign import foreign_layout, torch_name
from facegen.networks.network import Network
from facegen.nn import Add, Clip, Conv2d, GlobalAvgPool2d, Graph, Linear, Softmax, Tensor
from facegen.nn import Shape as MapShape
from facegen.weights.checks import Shape

NAME = "mobilenet_v2"
IMAGE = MapShape(imagenet.TORCHVISION_SIDE, imagenet.TORCHVISION_SIDE, 3)
STRIDES = (1, 2, 1, 2, 1, 1, 2, 1, 1, 1, 1, 1, 1, 2, 1, 1, 1)  # of features.1 to features.17
RELU6 = Clip(0, 6)


class Block(NamedTuple):
    """Channels."""

    inner: int
    outer: int
    widens: bool  # or its input has the inner channels already


class Sizes(NamedTuple):
    """What they differ in."""

    stem: int
    blocks: tuple[Block, ...]
    last: int
    classes: int


def graph(sizes: Sizes) -> Graph:
    """(224, 224, 3) -> (1, 1, classes) probabilities."""
    g = Graph(NAME)
    stem = Conv2d(IMAGE.channels, sizes.stem, 3, 2, padding=1, bias=False)
    x = conv_bn(g, "features.0", stem, g.input("image", IMAGE), RELU6)
    for i, (block, stride) in enumerate(zip(sizes.blocks, STRIDES, strict=True), 1):
        x = _block(g, f"features.{i}", block, stride, x)
    last = Conv2d(x.shape.channels, sizes.last, 1, bias=False)
    x = conv_bn(g, f"features.{len(STRIDES) + 1}", last, x, RELU6)
    x = g.add("avgpool", GlobalAvgPool2d(), x)
    x = g.add("classifier.1", Linear(sizes.last, sizes.classes), x)
    g.output(g.add("softmax", Softmax(), x))
    return g


def _block(g: Graph, name: str, block: Block, stride: int, x: Tensor) -> Tensor:
    inner, outer, widens = block
    y, at = x, 0
    if widens:
        y = conv_bn(g, f"{name}.conv.0", Conv2d(x.shape.channels, inner, 1, bias=False), y, RELU6)
        at = 1
    depthwise = Conv2d(inner, inner, 3, stride, padding=1, bias=False, groups=inner)
    y = conv_bn(g, f"{name}.conv.{at}", depthwise, y, RELU6)
    narrow = Conv2d(inner, outer, 1, bias=False)
    y = conv_bn(g, f"{name}.conv", narrow, y, None, first=at + 1)
    return g.add(f"{name}.add", Add(), x, y) if y.shape == x.shape else y


def initial_weights(sizes: Sizes, seed: int) -> dict[str, np.ndarray]:
    """Seeded weights, for trials."""
    return seeded(graph(sizes), seed)


def network_of(shapes: Mapping[str, Shape]) -> Network | None:
    """The network of features.0.0, features.1.conv, ..., classifier.1."""
    if not {"features.1.conv.0.0.weight", "classifier.1.weight"} <= shapes.keys():
        return None

    def channels(name: str) -> int:
        if f"{name}.weight" not in shapes:
            raise ValueError(f"{NAME}: tensor '{name}.weight' is missing")
        return (shapes[f"{name}.weight"] or (0,))[0]

    blocks = []
    for i in range(1, len(STRIDES) + 1):
        widens = f"features.{i}.conv.3.weight" in shapes
        narrow = f"features.{i}.conv.{2 if widens else 1}"
        blocks.append(Block(channels(f"features.{i}.conv.0.0"), channels(narrow), widens))
    last = channels(f"features.{len(STRIDES) + 1}.0")
    sizes = Sizes(channels("features.0.0"), tuple(blocks), last, channels("classifier.1"))
    return Network(
        name=NAME,
        summary=imagenet.summary(IMAGE.height, sizes.classes),
        graph=partial(graph, sizes),
        binary_layout=None,
        initial_weights=partial(initial_weights, sizes),
        model=Classifier,
        foreign={"pytorch": foreign_layout(graph(sizes), torch_name)},
        prepare=imagenet.normalised,
    )
