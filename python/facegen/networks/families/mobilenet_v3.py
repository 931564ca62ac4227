"""MobileNetV3, small and large (Howard et al. 2019, tables 1 and 2), told by torchvision's names.

A block (table 3 there): 1x1 to more channels, bn, activation; 3x3 or 5x5 depthwise, bn, activation;
where it has a squeeze-and-excite, its map times hard_sigmoid(fc2(ReLU(fc1(mean over the map))));
1x1, bn. Its input is added where the shape stays. Before the blocks a 3x3/2 of 16 channels, behind
them a 1x1, the mean over the map, and two layers for the classes, all with hard swish. Batch norms
have an eps of 0.001.

Kernels and channels follow from shapes; strides and activations do not, and go by the number of
blocks: 15 of the large one, 11 of the small one.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from itertools import count, takewhile
from typing import NamedTuple

import numpy as np

from facegen.networks import imagenet
from facegen.networks.classifier import Classifier
from facegen.networks.families.mobile import conv_bn, seeded
from facegen.networks.foreign import foreign_layout, torch_name
from facegen.networks.network import Network
from facegen.nn import (
    Add,
    Conv2d,
    GlobalAvgPool2d,
    Graph,
    HardSigmoid,
    HardSwish,
    Linear,
    Mul,
    ReLU,
    Softmax,
    Tensor,
)
from facegen.nn import Shape as MapShape
from facegen.weights.checks import Shape

IMAGE = MapShape(imagenet.TORCHVISION_SIDE, imagenet.TORCHVISION_SIDE, 3)
EPS = 1e-3


class Kind(NamedTuple):
    """What does not follow from shapes."""

    name: str
    strides: tuple[int, ...]  # of its blocks
    swish_from: int  # the first block whose activation is hard swish


KINDS = {
    15: Kind("mobilenet_v3_large", (1, 2, 1, 2, 1, 1, 2, 1, 1, 1, 1, 1, 2, 1, 1), 6),
    11: Kind("mobilenet_v3_small", (2, 2, 1, 2, 1, 1, 1, 1, 2, 1, 1), 3),
}


class Block(NamedTuple):
    """Channels, and the depthwise kernel."""

    inner: int
    outer: int
    kernel: int
    squeezed: int  # between fc1 and fc2; 0 where there are none
    widens: bool  # or its input has the inner channels already


class Sizes(NamedTuple):
    """What they differ in."""

    stem: int
    blocks: tuple[Block, ...]
    last: int  # behind the blocks
    hidden: int  # before the classes
    classes: int

    @property
    def kind(self) -> Kind:
        return KINDS[len(self.blocks)]


def graph(sizes: Sizes) -> Graph:
    """(224, 224, 3) -> (1, 1, classes) probabilities."""
    kind = sizes.kind
    g = Graph(kind.name)
    stem = Conv2d(IMAGE.channels, sizes.stem, 3, 2, padding=1, bias=False)
    x = conv_bn(g, "features.0", stem, g.input("image", IMAGE), HardSwish(), eps=EPS)
    for i, (block, stride) in enumerate(zip(sizes.blocks, kind.strides, strict=True)):
        activation = HardSwish() if i >= kind.swish_from else ReLU()
        x = _block(g, f"features.{i + 1}.block", block, stride, activation, x)
    last = Conv2d(x.shape.channels, sizes.last, 1, bias=False)
    x = conv_bn(g, f"features.{len(sizes.blocks) + 1}", last, x, HardSwish(), eps=EPS)
    x = g.add("avgpool", GlobalAvgPool2d(), x)
    x = g.add("classifier.0", Linear(sizes.last, sizes.hidden), x)
    x = g.add("classifier.1", HardSwish(), x)
    x = g.add("classifier.3", Linear(sizes.hidden, sizes.classes), x)
    g.output(g.add("softmax", Softmax(), x))
    return g


def _block(
    g: Graph, name: str, block: Block, stride: int, activation: ReLU | HardSwish, x: Tensor
) -> Tensor:
    inner, outer, kernel, squeezed, widens = block
    y, at = x, 0
    if widens:
        wide = Conv2d(x.shape.channels, inner, 1, bias=False)
        y = conv_bn(g, f"{name}.0", wide, y, activation, eps=EPS)
        at = 1
    depthwise = Conv2d(inner, inner, kernel, stride, kernel // 2, bias=False, groups=inner)
    y = conv_bn(g, f"{name}.{at}", depthwise, y, activation, eps=EPS)
    if squeezed:
        at += 1
        y = _squeeze_excite(g, f"{name}.{at}", squeezed, y)
    y = conv_bn(g, f"{name}.{at + 1}", Conv2d(inner, outer, 1, bias=False), y, None, eps=EPS)
    return g.add(f"{name}.add", Add(), x, y) if y.shape == x.shape else y


def _squeeze_excite(g: Graph, name: str, squeezed: int, x: Tensor) -> Tensor:
    channels = x.shape.channels
    y = g.add(f"{name}.avgpool", GlobalAvgPool2d(), x)
    y = g.add(f"{name}.activation", ReLU(), g.add(f"{name}.fc1", Conv2d(channels, squeezed, 1), y))
    y = g.add(f"{name}.fc2", Conv2d(squeezed, channels, 1), y)
    y = g.add(f"{name}.scale_activation", HardSigmoid(), y)
    return g.add(f"{name}.scale", Mul(), x, y)


def initial_weights(sizes: Sizes, seed: int) -> dict[str, np.ndarray]:
    """Seeded weights, for trials."""
    return seeded(graph(sizes), seed)


def network_of(shapes: Mapping[str, Shape]) -> Network | None:
    """The network of features.0.0, features.1.block, ..., classifier.0 and .3."""
    if not {"features.1.block.0.0.weight", "classifier.3.weight"} <= shapes.keys():
        return None
    names = (f"features.{i}.block.0.0.weight" for i in count(1))
    blocks = len(list(takewhile(shapes.__contains__, names)))
    if blocks not in KINDS:
        known = " or ".join(map(str, KINDS))
        raise ValueError(f"mobilenet_v3: found {blocks} blocks, expected {known}")
    sizes = Sizes(
        stem=_channels(shapes, "features.0.0"),
        blocks=tuple(_sizes(shapes, f"features.{i}.block") for i in range(1, blocks + 1)),
        last=_channels(shapes, f"features.{blocks + 1}.0"),
        hidden=_channels(shapes, "classifier.0"),
        classes=_channels(shapes, "classifier.3"),
    )
    return Network(
        name=sizes.kind.name,
        summary=imagenet.summary(IMAGE.height, sizes.classes),
        graph=partial(graph, sizes),
        binary_layout=None,
        initial_weights=partial(initial_weights, sizes),
        model=Classifier,
        foreign={"pytorch": foreign_layout(graph(sizes), torch_name)},
        prepare=imagenet.normalised,
    )


def _sizes(shapes: Mapping[str, Shape], name: str) -> Block:
    """Its modules, in order: what widens, depthwise, squeeze-and-excite, what narrows."""
    squeezes = [at for at in (1, 2) if f"{name}.{at}.fc1.weight" in shapes]
    last = max(at for at in range(4) if at == 0 or f"{name}.{at}.0.weight" in shapes)
    widens = last - len(squeezes) == 2
    kernel = shapes.get(f"{name}.{int(widens)}.0.weight", ())[2:3] or (1,)
    return Block(
        inner=_channels(shapes, f"{name}.0.0"),
        outer=_channels(shapes, f"{name}.{last}.0"),
        kernel=kernel[0],
        squeezed=_channels(shapes, f"{name}.{squeezes[0]}.fc1") if squeezes else 0,
        widens=widens,
    )


def _channels(shapes: Mapping[str, Shape], name: str) -> int:
    if f"{name}.weight" not in shapes:
        raise ValueError(f"mobilenet_v3: tensor '{name}.weight' is missing")
    return (shapes[f"{name}.weight"] or (0,))[0]
