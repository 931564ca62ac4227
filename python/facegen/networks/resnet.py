"""ResNet-18 and ResNet-34 (He et al. 2015, table 1): ImageNet's classes.

| layer                            | output (HWC) | kernel/stride | blocks: 18 | 34 |
|----------------------------------|--------------|---------------|------------|----|
| image, RGB, `imagenet.normalised`| 224x224x3    |               |            |    |
| conv1, bn1, ReLU                 | 112x112x64   | 7x7/2         |            |    |
| maxpool (pad 1)                  | 56x56x64     | 3x3/2         |            |    |
| layer1                           | 56x56x64     | 3x3           | 2          | 3  |
| layer2                           | 28x28x128    | 3x3, first /2 | 2          | 4  |
| layer3                           | 14x14x256    | 3x3, first /2 | 2          | 6  |
| layer4                           | 7x7x512      | 3x3, first /2 | 2          | 3  |
| mean over the map, fc, softmax   | 1000         |               |            |    |

block: conv1 3x3, bn1, ReLU, conv2 3x3, bn2; the sum with the block's input, ReLU. Where the block
makes the map smaller, its input goes through downsample: a convolution 1x1/2 and a batch norm.
Convolutions have no bias; all are padded by half their kernel. Layers have torchvision's names.
"""

from __future__ import annotations

from functools import partial

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
BLOCKS = {"resnet18": (2, 2, 2, 2), "resnet34": (3, 4, 6, 3)}


def conv_bn(g: Graph, conv: str, bn: str, layer: Conv2d, x: Tensor) -> Tensor:
    return g.add(bn, BatchNorm(layer.out_channels), g.add(conv, layer, x))


def block(g: Graph, name: str, channels: int, stride: int, x: Tensor) -> Tensor:
    """The sum of two 3x3 convolutions with what they read."""
    c = x.shape.channels
    first = Conv2d(c, channels, 3, stride, padding=1, bias=False)
    y = conv_bn(g, f"{name}.conv1", f"{name}.bn1", first, x)
    y = g.add(f"{name}.relu1", ReLU(), y)
    second = Conv2d(channels, channels, 3, padding=1, bias=False)
    y = conv_bn(g, f"{name}.conv2", f"{name}.bn2", second, y)
    if stride > 1:
        down = Conv2d(c, channels, 1, stride, bias=False)
        x = conv_bn(g, f"{name}.downsample.0", f"{name}.downsample.1", down, x)
    return g.add(f"{name}.relu2", ReLU(), g.add(f"{name}.add", Add(), y, x))


def graph(name: str) -> Graph:
    """(224, 224, 3) -> (1, 1, 1000) probabilities."""
    g = Graph(name)
    stem = Conv2d(IMAGE.channels, CHANNELS[0], 7, stride=2, padding=3, bias=False)
    x = conv_bn(g, "conv1", "bn1", stem, g.input("image", IMAGE))
    x = g.add("maxpool", MaxPool2d(3, stride=2, padding=1), g.add("relu", ReLU(), x))
    for stage, (channels, blocks) in enumerate(zip(CHANNELS, BLOCKS[name], strict=True), 1):
        for i in range(blocks):
            stride = 2 if stage > 1 and i == 0 else 1
            x = block(g, f"layer{stage}.{i}", channels, stride, x)
    x = g.add("fc", Linear(CHANNELS[-1], CLASSES), g.add("avgpool", GlobalAvgPool2d(), x))
    g.output(g.add("softmax", Softmax(), x))
    return g


def initial_weights(name: str, seed: int) -> dict[str, np.ndarray]:
    """Seeded weights; what a block adds is a quarter, or sums would grow from block to block.

    So are the scores, which leaves the classes' probabilities of one order.
    """
    weights = seeded_weights(graph(name).parameters, seed)
    for key in weights:
        if key.endswith((".conv2.weight", "fc.weight")):
            weights[key] *= np.float32(1 / 4)
    return weights


def _resnet(name: str) -> Network:
    return Network(
        name=name,
        summary="what a picture shows: 224x224 RGB -> 1,000 classes of ImageNet",
        graph=partial(graph, name),
        binary_layout=None,
        initial_weights=partial(initial_weights, name),
        model=Classifier,
        foreign={"pytorch": foreign_layout(graph(name), torch_name)},
        prepare=imagenet.normalised,
    )


RESNET18, RESNET34 = map(_resnet, BLOCKS)
