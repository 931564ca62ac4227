"""SqueezeNet v1.0 (Iandola et al. 2016): ImageNet's classes, and the encoder of segmentation.

| layer                            | output (HWC) | kernel/stride |
|----------------------------------|--------------|---------------|
| image, RGB minus `imagenet.MEAN` | 227x227x3    |               |
| conv1, ReLU                      | 111x111x96   | 7x7/2         |
| pool1, max                       | 55x55x96     | 3x3/2         |
| fire2, fire3 (s16 e64)           | 55x55x128    |               |
| fire4 (s32 e128)                 | 55x55x256    |               |
| pool4, max                       | 27x27x256    | 3x3/2         |
| fire5 (s32 e128)                 | 27x27x256    |               |
| fire6, fire7 (s48 e192)          | 27x27x384    |               |
| fire8 (s64 e256)                 | 27x27x512    |               |
| pool8, max                       | 13x13x512    | 3x3/2         |
| fire9 (s64 e256)                 | 13x13x512    |               |
| conv10 (pad 1), ReLU             | 15x15x1000   | 1x1           |
| mean over the map, softmax       | 1000         |               |

conv10 and what follows belong to the classifier alone; 1,248,424 parameters with it.
fire(s, e): squeeze 1x1 to s channels, ReLU; then 1x1 and 3x3 (pad 1) to e channels each, ReLU,
side by side. Pools count a last, partial window (ceil mode); at 227 pixels there is none.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import NamedTuple

import numpy as np

from facegen.networks.classifier import CLASSES, Classifier
from facegen.networks.foreign import foreign_layout
from facegen.networks.imagenet import (
    PIXEL_RANGE,
    TORCHVISION_SIDE,
    centred_square,
    from_bgr,
    from_torchvision,
    torchvision_crop,
)
from facegen.networks.network import Network
from facegen.networks.seeded import seeded_weights
from facegen.networks.squeezenet_names import (
    caffe_name,
    npz_name,
    torchvision_name,
)
from facegen.nn import (
    Concat,
    Conv2d,
    GlobalAvgPool2d,
    Graph,
    MaxPool2d,
    ReLU,
    Shape,
    Softmax,
    Tensor,
)

IMAGE = Shape(227, 227, 3)


class Encoded(NamedTuple):
    """What the encoder hands on: its last map, and those that a decoder's skips read."""

    pool1: Tensor
    pool4: Tensor
    pool8: Tensor
    fire9: Tensor


def conv_relu(g: Graph, name: str, conv: Conv2d, x: Tensor) -> Tensor:
    """A convolution and the ReLU behind it."""
    return g.add(f"{name}.relu", ReLU(), g.add(name, conv, x))


def fire(g: Graph, name: str, squeeze: int, expand: int, x: Tensor) -> Tensor:
    """A fire module: ``squeeze`` channels in between, ``2 * expand`` out."""
    s = conv_relu(g, f"{name}/squeeze1x1", Conv2d(x.shape.channels, squeeze, 1), x)
    e1 = conv_relu(g, f"{name}/expand1x1", Conv2d(squeeze, expand, 1), s)
    e3 = conv_relu(g, f"{name}/expand3x3", Conv2d(squeeze, expand, 3, padding=1), s)
    return g.add(f"{name}/concat", Concat(), e1, e3)


def pool(g: Graph, name: str, x: Tensor) -> Tensor:
    return g.add(name, MaxPool2d(3, stride=2, ceil_mode=True), x)


def encoder(g: Graph, x: Tensor) -> Encoded:
    """(227, 227, 3) -> (13, 13, 512), with the layers' names of the original (Caffe) network."""
    x = conv_relu(g, "conv1", Conv2d(IMAGE.channels, 96, 7, stride=2), x)
    x = pool1 = pool(g, "pool1", x)
    x = fire(g, "fire2", 16, 64, x)
    x = fire(g, "fire3", 16, 64, x)
    x = fire(g, "fire4", 32, 128, x)
    x = pool4 = pool(g, "pool4", x)
    x = fire(g, "fire5", 32, 128, x)
    x = fire(g, "fire6", 48, 192, x)
    x = fire(g, "fire7", 48, 192, x)
    x = fire(g, "fire8", 64, 256, x)
    x = pool8 = pool(g, "pool8", x)
    return Encoded(pool1, pool4, pool8, fire(g, "fire9", 64, 256, x))


def _classify(g: Graph, image: Shape, last: str, padding: int) -> Graph:
    x = encoder(g, g.input("image", image)).fire9
    x = conv_relu(g, last, Conv2d(512, CLASSES, 1, padding=padding), x)
    x = g.add("pool10", GlobalAvgPool2d(), x)
    g.output(g.add("softmax", Softmax(), x))
    return g


def graph() -> Graph:
    """(227, 227, 3) -> (1, 1, 1000) probabilities."""
    return _classify(Graph("squeezenet"), IMAGE, "conv10", padding=1)


def torchvision_graph() -> Graph:
    """(224, 224, 3) -> (1, 1, 1000): torchvision's `squeezenet1_0` has no padding in conv10.

    That layer has another name here, so that a file tells by its names which of the two it holds.
    """
    image = Shape(TORCHVISION_SIDE, TORCHVISION_SIDE, IMAGE.channels)
    return _classify(Graph("squeezenet-torchvision"), image, "classifier", padding=0)


def seeded(
    graph: Graph, seed: int, strides: Mapping[str, int] | None = None
) -> dict[str, np.ndarray]:
    """Seeded weights of a network that begins with the encoder, whose outputs are of order 10."""
    weights = seeded_weights(graph.parameters, seed, strides)
    weights["conv1.weight"] *= np.float32(1 / 64)  # pixels are some 64 from the mean
    return weights


def initial_weights(seed: int) -> dict[str, np.ndarray]:
    """Seeded weights, for trials and benchmarks."""
    return seeded(graph(), seed)


def _torchvision_initial_weights(seed: int) -> dict[str, np.ndarray]:
    return seeded(torchvision_graph(), seed)


SQUEEZENET = Network(
    name="squeezenet",
    summary="what a picture shows: 227x227 RGB -> 1,000 classes of ImageNet",
    graph=graph,
    binary_layout=None,
    initial_weights=initial_weights,
    model=Classifier,
    foreign={
        "caffe": foreign_layout(graph(), caffe_name),
        "npz": foreign_layout(graph(), npz_name),
    },
    prepare=partial(centred_square, side=IMAGE.height),
    input_range=PIXEL_RANGE,
    adapt=from_bgr,
)
SQUEEZENET_TORCHVISION = Network(
    name="squeezenet-torchvision",
    summary="the same as torchvision trained it: 224x224 RGB -> 1,000 classes of ImageNet",
    graph=torchvision_graph,
    binary_layout=None,
    initial_weights=_torchvision_initial_weights,
    model=Classifier,
    foreign={"pytorch": foreign_layout(torchvision_graph(), torchvision_name)},
    prepare=torchvision_crop,
    input_range=PIXEL_RANGE,
    adapt=from_torchvision,
)
