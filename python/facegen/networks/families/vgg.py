"""VGG-11 to VGG-19 (Simonyan and Zisserman 2014, table 1), told by torchvision's names of tensors.

| layer                                 | output (HWC), VGG-16 | convolutions: 11 | 13 | 16 | 19 |
|---------------------------------------|----------------------|------------------|----|----|----|
| image, RGB, `imagenet.normalised`     | 224x224x3            |                  |    |    |    |
| convolutions 3x3, ReLU; max pool 2x2  | 112x112x64           | 1                | 2  | 2  | 2  |
| the same                              | 56x56x128            | 1                | 2  | 2  | 2  |
| the same                              | 28x28x256            | 2                | 2  | 3  | 4  |
| the same                              | 14x14x512            | 2                | 2  | 3  | 4  |
| the same                              | 7x7x512              | 2                | 2  | 3  | 4  |
| classifier.0, ReLU                    | 4096                 |                  |    |    |    |
| classifier.3, ReLU                    | 4096                 |                  |    |    |    |
| classifier.6, softmax                 | 1000                 |                  |    |    |    |

The convolutions are features.N, each with a batch norm behind it in the networks called _bn. Pools
have no tensors, and count: where the number of a convolution is one more than the layers before it
explain, a pool stands there. classifier.0 reads the map as a vector, channel after channel there,
pixel after pixel here: its columns are put in our order.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from facegen.networks import imagenet
from facegen.networks.classifier import Classifier
from facegen.networks.foreign import foreign_layout, torch_name
from facegen.networks.network import Network
from facegen.networks.seeded import seeded_weights
from facegen.nn import (
    BatchNorm,
    Conv2d,
    Graph,
    Linear,
    MaxPool2d,
    ReLU,
    Reshape,
    Softmax,
)
from facegen.nn import Shape as MapShape
from facegen.weights.checks import Shape

IMAGE = MapShape(imagenet.TORCHVISION_SIDE, imagenet.TORCHVISION_SIDE, 3)
# Convolutions of a network by its number of layers with weights.
DEPTHS = {
    11: (1, 1, 2, 2, 2),
    13: (2, 2, 2, 2, 2),
    16: (2, 2, 3, 3, 3),
    19: (2, 2, 4, 4, 4),
}


class Sizes(NamedTuple):
    """What VGGs differ in."""

    groups: tuple[tuple[int, ...], ...]  # channels of the convolutions up to each pool
    batch_norm: bool
    hidden: tuple[int, int]  # of classifier.0 and classifier.3
    classes: int


def graph(name: str, sizes: Sizes) -> Graph:
    """(224, 224, 3) -> (1, 1, classes) probabilities."""
    g = Graph(name)
    x = g.input("image", IMAGE)
    i = 0
    for group in sizes.groups:
        for channels in group:
            x = g.add(f"features.{i}", Conv2d(x.shape.channels, channels, 3, padding=1), x)
            if sizes.batch_norm:
                i += 1
                x = g.add(f"features.{i}", BatchNorm(channels), x)
            x = g.add(f"features.{i + 1}", ReLU(), x)
            i += 2
        x = g.add(f"features.{i}", MaxPool2d(2), x)
        i += 1
    x = g.add("flatten", Reshape(MapShape(1, 1, x.shape.floats)), x)
    for i, features in zip((0, 3), sizes.hidden, strict=True):
        x = g.add(f"classifier.{i}", Linear(x.shape.channels, features), x)
        x = g.add(f"classifier.{i + 1}", ReLU(), x)
    x = g.add("classifier.6", Linear(x.shape.channels, sizes.classes), x)
    g.output(g.add("softmax", Softmax(), x))
    return g


def from_channels_first(sizes: Sizes, weights: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Weights whose classifier.0 takes a map channel after channel, for one pixel after pixel."""
    name = "classifier.0.weight"
    outputs, inputs = weights[name].shape
    channels = sizes.groups[-1][-1]
    side = IMAGE.height >> len(sizes.groups)
    maps = weights[name].reshape(outputs, channels, side, side).transpose(0, 2, 3, 1)
    return weights | {name: np.ascontiguousarray(maps).reshape(outputs, inputs)}


def initial_weights(name: str, sizes: Sizes, seed: int) -> dict[str, np.ndarray]:
    """Seeded weights; the scores are a quarter, which leaves the probabilities of one order."""
    weights = seeded_weights(graph(name, sizes).parameters, seed)
    weights["classifier.6.weight"] *= np.float32(1 / 4)
    return weights


def network_of(shapes: Mapping[str, Shape]) -> Network | None:
    """The network of features.0, ... with classifier.0, .3 and .6."""
    names = [f"classifier.{i}.weight" for i in (0, 3, 6)]
    if not {"features.0.bias", *names} <= shapes.keys():
        return None
    hidden = [(shapes[name] or (0,))[0] for name in names]
    groups, batch_norm = _groups(shapes)
    sizes = Sizes(groups, batch_norm, (hidden[0], hidden[1]), hidden[2])
    name = _name(sizes)
    return Network(
        name=name,
        summary=imagenet.summary(IMAGE.height, sizes.classes),
        graph=partial(graph, name, sizes),
        binary_layout=None,
        initial_weights=partial(initial_weights, name, sizes),
        model=Classifier,
        foreign={"pytorch": foreign_layout(graph(name, sizes), torch_name)},
        prepare=imagenet.normalised,
        adapt=partial(from_channels_first, sizes),
    )


def _groups(shapes: Mapping[str, Shape]) -> tuple[tuple[tuple[int, ...], ...], bool]:
    """The channels between pools, and whether there are batch norms."""
    matches = (re.fullmatch(r"features\.(0|[1-9]\d{0,5})\.weight", name) for name in shapes)
    numbers = sorted(int(match[1]) for match in matches if match)
    found = [i for i in numbers if len(shapes[f"features.{i}.weight"]) == 4]
    batch_norm = "features.1.running_mean" in shapes
    layers = 3 if batch_norm else 2  # of a convolution with what is behind it
    groups: list[list[int]] = []
    for before, i in pairwise([-layers - 1, *found]):
        if i - before > layers:
            groups.append([])
        groups[-1].append(shapes[f"features.{i}.weight"][0])
    return tuple(map(tuple, groups)), batch_norm


def _name(sizes: Sizes) -> str:
    depth = sum(map(len, sizes.groups)) + 3
    named = DEPTHS.get(depth) == tuple(map(len, sizes.groups))
    return f"vgg{depth}{'_bn' if sizes.batch_norm else ''}{'' if named else '-custom'}"
