"""ResNets of any depth, width and number of classes, told by torchvision's names of tensors."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count, takewhile

from facegen.networks.network import Network
from facegen.networks.resnet import BASIC, CHANNELS, Sizes, resnet
from facegen.weights.checks import Shape

_OUTER = tuple(4 * channels for channels in CHANNELS)
_TWICE = tuple(2 * channels for channels in CHANNELS)
_FOUR_TIMES = tuple(4 * channels for channels in CHANNELS)
# As torchvision calls them, whatever their classes.
NAMED = BASIC | {
    "resnet50": Sizes((3, 4, 6, 3), CHANNELS, _OUTER, bottleneck=True),
    "resnet101": Sizes((3, 4, 23, 3), CHANNELS, _OUTER, bottleneck=True),
    "resnet152": Sizes((3, 8, 36, 3), CHANNELS, _OUTER, bottleneck=True),
    "resnext50_32x4d": Sizes((3, 4, 6, 3), _TWICE, _OUTER, bottleneck=True, groups=32),
    "resnext101_32x8d": Sizes((3, 4, 23, 3), _FOUR_TIMES, _OUTER, bottleneck=True, groups=32),
    "resnext101_64x4d": Sizes((3, 4, 23, 3), _FOUR_TIMES, _OUTER, bottleneck=True, groups=64),
    "wide_resnet50_2": Sizes((3, 4, 6, 3), _TWICE, _OUTER, bottleneck=True),
    "wide_resnet101_2": Sizes((3, 4, 23, 3), _TWICE, _OUTER, bottleneck=True),
}


def network_of(shapes: Mapping[str, Shape]) -> Network | None:
    """The network whose blocks are layer1.0, layer1.1, ..., layer2.0, ..."""
    sizes = sizes_of(shapes)
    if sizes is None or "fc.weight" not in shapes:
        return None
    sizes = sizes._replace(classes=(shapes["fc.weight"] or (0,))[0])
    return resnet(name_of(sizes), sizes)


def sizes_of(shapes: Mapping[str, Shape], prefix: str = "") -> Sizes | None:
    """All but the classes; `prefix` goes before the names."""

    def blocks(layer: int) -> int:
        names = (f"{prefix}layer{layer}.{i}.conv1.weight" for i in count())
        return len(list(takewhile(shapes.__contains__, names)))

    def out_channels(name: str) -> int:
        tensor = f"{prefix}{name}.weight"
        if tensor not in shapes:
            raise ValueError(f"tensor {tensor!r} is missing")
        return (shapes[tensor] or (0,))[0]

    layers = list(takewhile(blocks, count(1)))
    if not layers or f"{prefix}bn1.running_mean" not in shapes:
        return None
    bottleneck = f"{prefix}layer1.0.conv3.weight" in shapes
    last = "conv3" if bottleneck else "conv2"
    return Sizes(
        blocks=tuple(map(blocks, layers)),
        inner=tuple(out_channels(f"layer{layer}.0.conv1") for layer in layers),
        outer=tuple(out_channels(f"layer{layer}.0.{last}") for layer in layers),
        bottleneck=bottleneck,
        stem=out_channels("conv1"),
        groups=_groups(shapes.get(f"{prefix}layer1.0.conv2.weight", ())) if bottleneck else 1,
    )


def _groups(shape: Shape) -> int:
    """Of a 3x3 convolution of as many channels in as out, (out, in of a group, 3, 3)."""
    return max(1, shape[0] // shape[1]) if len(shape) == 4 and shape[1] else 1


def name_of(sizes: Sizes) -> str:
    """Torchvision's, or one by the number of layers with weights."""
    named = (name for name, each in NAMED.items() if each._replace(classes=sizes.classes) == sizes)
    depth = sum(sizes.blocks) * (3 if sizes.bottleneck else 2) + 2
    return next(named, f"resnet{depth}-custom")
