"""ResNets: what a picture shows, of ImageNet's classes (He et al. 2015, table 1; Xie et al. 2017).

| layer                            | output (HWC) | kernel/stride | 18 | 34 | 50 | 101 | 152 |
|----------------------------------|--------------|---------------|----|----|----|-----|-----|
| image, RGB, `imagenet.normalised`| 224x224x3    |               |    |    |    |     |     |
| conv1, bn1, ReLU                 | 112x112x64   | 7x7/2         |    |    |    |     |     |
| maxpool (pad 1)                  | 56x56x64     | 3x3/2         |    |    |    |     |     |
| layer1                           | 56x56x64 e   | 3x3           | 2  | 3  | 3  | 3   | 3   |
| layer2                           | 28x28x128 e  | 3x3, first /2 | 2  | 4  | 4  | 4   | 8   |
| layer3                           | 14x14x256 e  | 3x3, first /2 | 2  | 6  | 6  | 23  | 36  |
| layer4                           | 7x7x512 e    | 3x3, first /2 | 2  | 3  | 3  | 3   | 3   |
| mean over the map, fc, softmax   | 1000         |               |    |    |    |     |     |

On the right: how many blocks, by the number of layers. A block of 18 and 34 (e is 1): conv1 3x3,
bn1, ReLU, conv2 3x3, bn2; the sum with the block's input, ReLU. Of the others (e is 4), a
bottleneck: conv1 1x1, bn1, ReLU, conv2 3x3, bn2, ReLU, conv3 1x1, bn3; the sum. Its conv2 has
groups in ResNeXts. Where map or channels change, the block's input goes through downsample: a
convolution 1x1 and a batch norm. A block's stride is that of its first 3x3, as torchvision has it.
Convolutions have no bias; all are padded by half their kernel. Layers have torchvision's names.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import numpy as np

from facegen.networks import imagenet
from facegen.networks.classifier import CLASSES, Classifier
from facegen.networks.foreign import foreign_layout, torch_name
from facegen.networks.network import Network
from facegen.networks.seeded import seeded_weights
from facegen.nn import (
    Add,
    BatchNorm,
    Conv2d,
    GlobalAvgPool2d,
    Graph,
    Linear,
    MaxPool2d,
    ReLU,
    Shape,
    Softmax,
    Tensor,
)

IMAGE = Shape(imagenet.TORCHVISION_SIDE, imagenet.TORCHVISION_SIDE, 3)
CHANNELS = (64, 128, 256, 512)  # of layer1 to layer4


class Sizes(NamedTuple):
    """What ResNets differ in."""

    blocks: tuple[int, ...]  # of layer1, layer2, ...
    inner: tuple[int, ...] = CHANNELS  # channels of their 3x3 convolutions
    outer: tuple[int, ...] = CHANNELS  # of what they hand on
    bottleneck: bool = False
    stem: int = 64  # channels of conv1
    groups: int = 1  # of the bottlenecks' 3x3 convolutions
    classes: int = CLASSES


BASIC = {"resnet18": Sizes((2, 2, 2, 2)), "resnet34": Sizes((3, 4, 6, 3))}


def conv_bn(g: Graph, conv: str, bn: str, layer: Conv2d, x: Tensor) -> Tensor:
    return g.add(bn, BatchNorm(layer.out_channels), g.add(conv, layer, x))


class Stage(NamedTuple):
    """What its blocks have in common."""

    inner: int
    outer: int
    bottleneck: bool
    groups: int


def block(g: Graph, name: str, stage: Stage, stride: int, dilation: int, x: Tensor) -> Tensor:
    """The sum of two or three convolutions with what they read."""
    inner, outer, bottleneck, groups = stage
    c = x.shape.channels
    convolutions = (
        [
            Conv2d(c, inner, 1, bias=False),
            Conv2d(inner, inner, 3, stride, dilation, dilation, bias=False, groups=groups),
            Conv2d(inner, outer, 1, bias=False),
        ]
        if bottleneck
        else [
            Conv2d(c, inner, 3, stride, padding=1, bias=False),
            Conv2d(inner, outer, 3, padding=1, bias=False),
        ]
    )
    y = x
    for i, conv in enumerate(convolutions, 1):
        y = conv_bn(g, f"{name}.conv{i}", f"{name}.bn{i}", conv, y)
        if i < len(convolutions):
            y = g.add(f"{name}.relu{i}", ReLU(), y)
    if stride > 1 or c != outer:
        down = Conv2d(c, outer, 1, stride, bias=False)
        x = conv_bn(g, f"{name}.downsample.0", f"{name}.downsample.1", down, x)
    return g.add(f"{name}.relu{len(convolutions)}", ReLU(), g.add(f"{name}.add", Add(), y, x))


def encoder(
    g: Graph, x: Tensor, sizes: Sizes, prefix: str = "", dilated: Sequence[int] = ()
) -> list[Tensor]:
    """What layer1, layer2, ... hand on; `prefix` goes before their names.

    Those whose numbers are in `dilated` keep the size of the map, and double the dilation instead.
    """
    stem = Conv2d(x.shape.channels, sizes.stem, 7, stride=2, padding=3, bias=False)
    x = g.add(f"{prefix}relu", ReLU(), conv_bn(g, f"{prefix}conv1", f"{prefix}bn1", stem, x))
    x = g.add(f"{prefix}maxpool", MaxPool2d(3, stride=2, padding=1), x)
    handed_on, dilation = [], 1
    for number, blocks in enumerate(sizes.blocks, 1):
        inner, outer = sizes.inner[number - 1], sizes.outer[number - 1]
        stage = Stage(inner, outer, sizes.bottleneck, sizes.groups)
        for i in range(blocks):
            stride = 2 if i == 0 and number > 1 and number not in dilated else 1
            x = block(g, f"{prefix}layer{number}.{i}", stage, stride, dilation, x)
            if i == 0 and number in dilated:
                dilation *= 2
        handed_on.append(x)
    return handed_on


def graph(name: str, sizes: Sizes) -> Graph:
    """(224, 224, 3) -> (1, 1, classes) probabilities."""
    g = Graph(name)
    x = g.add("avgpool", GlobalAvgPool2d(), encoder(g, g.input("image", IMAGE), sizes)[-1])
    g.output(g.add("softmax", Softmax(), g.add("fc", Linear(x.shape.channels, sizes.classes), x)))
    return g


def seeded(graph: Graph, seed: int) -> dict[str, np.ndarray]:
    """Seeded weights; what a block adds is a quarter, or sums would grow from block to block.

    So are the scores, which leaves the classes' probabilities of one order.
    """
    weights = seeded_weights(graph.parameters, seed)
    for key in weights:
        block, _, layer = key.rpartition(".conv")
        last = "3.weight" if f"{block}.conv3.weight" in weights else "2.weight"
        if (block and layer == last) or key.endswith("fc.weight"):
            weights[key] *= np.float32(1 / 4)
    return weights


def initial_weights(name: str, sizes: Sizes, seed: int) -> dict[str, np.ndarray]:
    """Seeded weights, for trials and benchmarks."""
    return seeded(graph(name, sizes), seed)


def resnet(name: str, sizes: Sizes) -> Network:
    return Network(
        name=name,
        summary=imagenet.summary(IMAGE.height, sizes.classes),
        graph=partial(graph, name, sizes),
        binary_layout=None,
        initial_weights=partial(initial_weights, name, sizes),
        model=Classifier,
        foreign={"pytorch": foreign_layout(graph(name, sizes), torch_name)},
        prepare=imagenet.normalised,
    )


RESNET18, RESNET34 = (resnet(name, sizes) for name, sizes in BASIC.items())
