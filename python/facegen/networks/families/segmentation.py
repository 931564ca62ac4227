"""What is where in a picture: torchvision's fcn_resnet50 and deeplabv3_resnet50, and those of 101.

| layer                              | output (HWC), FCN | DeepLabV3                               |
|------------------------------------|-------------------|-----------------------------------------|
| image, RGB, normalised             | 520x520x3         |                                         |
| the ResNet, layer3, layer4 dilated | 65x65x2048        |                                         |
| classifier.0                       | 65x65x512         | 65x65x256: pyramid                      |
| classifier.1                       |                   | 65x65x256                               |
| classifier.4                       | 65x65x21          | 65x65x21                                |
| bilinear                           | 520x520x21        | 520x520x21                              |

FCN (Long et al. 2015): classifier.0 is a 3x3 convolution. DeepLabV3 (Chen et al. 2017): a pyramid,
then such a convolution, classifier.1. classifier.4 is a 1x1 convolution to one map a class. The
pyramid has side by side a 1x1 convolution, 3x3 ones of dilation 12, 24 and 36, and the mean over
the map with a 1x1 convolution, spread over the map again; behind them is a 1x1 convolution,
project. All but classifier.4 have a batch norm and ReLU behind them, and no bias. A second
classifier for training, aux_classifier, is read over.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import NamedTuple

import numpy as np

from facegen.networks import imagenet, resnet
from facegen.networks.families.resnet import name_of, sizes_of
from facegen.networks.foreign import foreign_layout, torch_name
from facegen.networks.network import Network
from facegen.networks.segmentation import CLASSES, SegmentationNetwork, Segmenter
from facegen.nn import Concat, Conv2d, GlobalAvgPool2d, Graph, ReLU, Tensor, Upsample
from facegen.nn import Shape as MapShape
from facegen.weights.checks import Shape
from facegen.weights.layout import Entry

SIDE = 520  # of the shorter side of pictures in training
DILATIONS = (12, 24, 36)
DILATED = (3, 4)  # layers of the ResNet
_MULTIPLE = 32  # of sides; others would do, and each takes room for its own


class Sizes(NamedTuple):
    """What they differ in."""

    backbone: resnet.Sizes
    hidden: int  # channels before the last convolution
    pyramid: tuple[int, int] | None  # channels of a branch and behind project; None in FCNs


def graph(name: str, sizes: Sizes, size: tuple[int, int] = (SIDE, SIDE)) -> Graph:
    """(520, 520, 3) -> (520, 520, 21) logits, or of another (height, width)."""
    g = Graph(name)
    image = g.input("image", MapShape(*size, 3))
    x = resnet.encoder(g, image, sizes.backbone, "backbone.", DILATED)[-1]
    if sizes.pyramid is not None:
        x = _pyramid(g, "classifier.0", sizes.pyramid, x)
    at = 0 if sizes.pyramid is None else 1
    x = _conv(
        g, "classifier", at, Conv2d(x.shape.channels, sizes.hidden, 3, padding=1, bias=False), x
    )
    x = g.add("classifier.4", Conv2d(sizes.hidden, CLASSES, 1), x)
    g.output(g.add("upsample", Upsample(size), x))
    return g


def _conv(g: Graph, name: str, first: int, conv: Conv2d, x: Tensor) -> Tensor:
    """Modules `first` and the two behind it of a sequence: convolution, batch norm, ReLU."""
    x = resnet.conv_bn(g, f"{name}.{first}", f"{name}.{first + 1}", conv, x)
    return g.add(f"{name}.{first + 2}", ReLU(), x)


def _pyramid(g: Graph, name: str, channels: tuple[int, int], x: Tensor) -> Tensor:
    c, (branch, out) = x.shape.channels, channels
    maps = [_conv(g, f"{name}.convs.0", 0, Conv2d(c, branch, 1, bias=False), x)]
    for i, dilation in enumerate(DILATIONS, 1):
        conv = Conv2d(c, branch, 3, padding=dilation, dilation=dilation, bias=False)
        maps.append(_conv(g, f"{name}.convs.{i}", 0, conv, x))
    mean = g.add(f"{name}.convs.4.0", GlobalAvgPool2d(), x)
    mean = _conv(g, f"{name}.convs.4", 1, Conv2d(c, branch, 1, bias=False), mean)
    maps.append(g.add(f"{name}.convs.4.spread", Upsample(x.shape[:2]), mean))
    x = g.add(f"{name}.concat", Concat(), *maps)
    return _conv(g, f"{name}.project", 0, Conv2d(x.shape.channels, out, 1, bias=False), x)


def fitting_side(side: int) -> int:
    """The height or width next to `side` that pictures are computed at."""
    return _MULTIPLE * max(1, round(side / _MULTIPLE))


def initial_weights(name: str, sizes: Sizes, seed: int) -> dict[str, np.ndarray]:
    """Seeded weights; their class maps mean nothing."""
    return resnet.seeded(graph(name, sizes), seed)


def network_of(shapes: Mapping[str, Shape]) -> Network | None:
    """The network of backbone.conv1, ... and classifier.4."""
    if not {"backbone.conv1.weight", "classifier.4.weight"} <= shapes.keys():
        return None
    backbone = sizes_of(shapes, "backbone.")
    if backbone is None or not backbone.bottleneck:
        raise ValueError("the backbone: expected a ResNet of bottlenecks, found none")
    classes = _channels(shapes, "classifier.4")
    if classes != CLASSES:
        raise ValueError(f"classifier.4: expected Pascal VOC's {CLASSES} classes, found {classes}")
    kind, hidden, pyramid = "fcn", "classifier.0", None
    if "classifier.0.project.0.weight" in shapes:
        kind, hidden = "deeplabv3", "classifier.1"
        branch = _channels(shapes, "classifier.0.convs.0.0")
        pyramid = branch, _channels(shapes, "classifier.0.project.0")
    sizes = Sizes(backbone, _channels(shapes, hidden), pyramid)
    name = f"{kind}_{name_of(backbone)}"
    layout = foreign_layout(graph(name, sizes), torch_name)
    for tensor, shape in shapes.items():
        if tensor.startswith("aux_classifier."):
            layout[tensor] = Entry(tensor, shape, tuple(range(len(shape))), 0.0)
    return SegmentationNetwork(
        name=name,
        summary=f"class of every pixel: {SIDE}x{SIDE} RGB -> {SIDE}x{SIDE}, {CLASSES} classes of "
        "Pascal VOC",
        graph=partial(graph, name, sizes),
        binary_layout=None,
        initial_weights=partial(initial_weights, name, sizes),
        model=Segmenter,
        foreign={"pytorch": layout},
        prepare=imagenet.normalised_at,
        fitting_side=fitting_side,
        graph_at=partial(graph, name, sizes),
    )


def _channels(shapes: Mapping[str, Shape], name: str) -> int:
    if f"{name}.weight" not in shapes:
        raise ValueError(f"tensor '{name}.weight' is missing")
    return (shapes[f"{name}.weight"] or (0,))[0]
