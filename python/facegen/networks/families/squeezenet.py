"""SqueezeNet v1.0 and v1.1 (Iandola et al. 2016) of any classes, told by torchvision's names.

| layer of v1.1                     | output (HWC) | kernel/stride |
|-----------------------------------|--------------|---------------|
| image, RGB, `imagenet.normalised` | 224x224x3    |               |
| features.0, ReLU                  | 111x111x64   | 3x3/2         |
| max pool                          | 55x55x64     | 3x3/2         |
| features.3, .4: fire (s16 e64)    | 55x55x128    |               |
| max pool                          | 27x27x128    | 3x3/2         |
| features.6, .7: fire (s32 e128)   | 27x27x256    |               |
| max pool                          | 13x13x256    | 3x3/2         |
| features.9, .10: fire (s48 e192)  | 13x13x384    |               |
| features.11, .12: fire (s64 e256) | 13x13x512    |               |
| classifier.1, ReLU                | 13x13x1000   | 1x1           |
| mean over the map, softmax        | 1000         |               |

fire(s, e) as `networks/squeezenet.py` has it. Pools have no tensors, and count: where a number of
features is missing, a pool stands. They count a last, partial window (ceil mode).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from typing import NamedTuple

import numpy as np

from facegen.networks import imagenet
from facegen.networks.classifier import Classifier
from facegen.networks.foreign import foreign_layout, torch_name
from facegen.networks.network import Network
from facegen.networks.seeded import seeded_weights
from facegen.networks.squeezenet import conv_relu, pool
from facegen.nn import Concat, Conv2d, GlobalAvgPool2d, Graph, Softmax, Tensor
from facegen.nn import Shape as MapShape
from facegen.weights.checks import Shape

IMAGE = MapShape(imagenet.TORCHVISION_SIDE, imagenet.TORCHVISION_SIDE, 3)
MOST_FEATURES = 100


class Fire(NamedTuple):
    """Channels."""

    squeeze: int
    expand1x1: int
    expand3x3: int


class Sizes(NamedTuple):
    """What SqueezeNets differ in."""

    stem: int  # channels of features.0
    kernel: int  # its size
    fires: tuple[Fire | None, ...]  # from features.2 on; None is a pool
    classes: int


V1_1 = Sizes(
    stem=64,
    kernel=3,
    fires=(
        *(None, Fire(16, 64, 64), Fire(16, 64, 64)),
        *(None, Fire(32, 128, 128), Fire(32, 128, 128)),
        *(None, Fire(48, 192, 192), Fire(48, 192, 192), Fire(64, 256, 256), Fire(64, 256, 256)),
    ),
    classes=1000,
)


def graph(name: str, sizes: Sizes) -> Graph:
    """(224, 224, 3) -> (1, 1, classes) probabilities."""
    g = Graph(name)
    x = g.input("image", IMAGE)
    x = conv_relu(g, "features.0", Conv2d(IMAGE.channels, sizes.stem, sizes.kernel, stride=2), x)
    for i, fire in enumerate(sizes.fires, 2):
        place = f"features.{i}"
        x = pool(g, place, x) if fire is None else _fire(g, place, fire, x)
    x = conv_relu(g, "classifier.1", Conv2d(x.shape.channels, sizes.classes, 1), x)
    g.output(g.add("softmax", Softmax(), g.add("classifier.3", GlobalAvgPool2d(), x)))
    return g


def _fire(g: Graph, name: str, fire: Fire, x: Tensor) -> Tensor:
    s = conv_relu(g, f"{name}.squeeze", Conv2d(x.shape.channels, fire.squeeze, 1), x)
    e1 = conv_relu(g, f"{name}.expand1x1", Conv2d(fire.squeeze, fire.expand1x1, 1), s)
    e3 = conv_relu(g, f"{name}.expand3x3", Conv2d(fire.squeeze, fire.expand3x3, 3, padding=1), s)
    return g.add(f"{name}.concat", Concat(), e1, e3)


def initial_weights(name: str, sizes: Sizes, seed: int) -> dict[str, np.ndarray]:
    """Seeded weights, for trials."""
    return seeded_weights(graph(name, sizes).parameters, seed)


def network_of(shapes: Mapping[str, Shape]) -> Network | None:
    """The network of features.0, fires and classifier.1."""
    stem, last = shapes.get("features.0.weight", ()), shapes.get("classifier.1.weight", ())
    matches = (re.fullmatch(r"features\.(\d{1,6})\.squeeze\.weight", name) for name in shapes)
    numbers = {int(match[1]) for match in matches if match}
    if not numbers or len(stem) != 4 or len(last) != 4:
        return None
    if max(numbers) > MOST_FEATURES:
        raise ValueError(f"squeezenet: found features.{max(numbers)}, of {MOST_FEATURES} at most")
    fires = [_sizes(shapes, i) if i in numbers else None for i in range(2, max(numbers) + 1)]
    sizes = Sizes(stem[0], stem[2], tuple(fires), last[0])
    name = "squeezenet1_1" if sizes._replace(classes=1000) == V1_1 else "squeezenet1_0"
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


def _sizes(shapes: Mapping[str, Shape], i: int) -> Fire:
    def channels(part: str) -> int:
        return (shapes.get(f"features.{i}.{part}.weight") or (0,))[0]

    return Fire(*map(channels, Fire._fields))
