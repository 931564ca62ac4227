"""Image to image: unet_256 of pytorch-CycleGAN-and-pix2pix (Isola et al. 2017).

| block                                    | output (HWC) | modules of `model...model` |
|------------------------------------------|--------------|----------------------------|
| image, RGB, -1 to 1                      | 256x256x3    |                            |
| 0: conv                                  | 128x128x64   | 0                          |
| 1: LeakyReLU(0.2), conv, norm            | 64x64x128    | 0, 1, 2                    |
| 2 to 6: the same                         | ... 2x2x512  | 0, 1, 2                    |
| 7: LeakyReLU(0.2), conv                  | 1x1x512      | 0, 1                       |
| 7: ReLU, tconv, norm                     | 2x2x512      | 2, 3, 4                    |
| 6: with the map of 6, ReLU, tconv, norm  | 4x4x512      | 4, 5, 6                    |
| 5 to 1: the same                         | ... 128x128  | 4, 5, 6                    |
| 0: with the map of 0, ReLU, tconv, tanh  | 256x256x3    | 2, 3, 4                    |

Convolutions are 4x4/2 with padding 1. Blocks lie in one another: 1 is module 1 of 0, each after it
module 3 of the one before. unet_128 has a block less.

The norm is by the picture's own statistics, whether it is called instance norm or batch norm: the
paper's programs run it at test as in training, on one picture at a time. What a file has of running
statistics is read over. Dropout, which these programs leave on at test, is off.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import NamedTuple

import numpy as np

from facegen.networks.families.own_statistics import layout_of, norm_added
from facegen.networks.network import Network
from facegen.networks.pix2pix import IMAGE, KERNEL, SLOPE, Pix2Pix
from facegen.networks.seeded import seeded_weights
from facegen.nn import (
    Concat,
    Conv2d,
    ConvTranspose2d,
    Graph,
    InstanceNorm,
    LeakyReLU,
    ReLU,
    Tanh,
    Tensor,
)
from facegen.weights.checks import Shape

MOST_BLOCKS = 8  # whose innermost map has one pixel


class Sizes(NamedTuple):
    """What they differ in."""

    channels: tuple[int, ...]  # of the maps on the way down
    bias: bool  # of convolutions with a norm behind them: with instance norm


def modules(block: int) -> str:
    """What the names of a block's modules begin with.

    >>> modules(0), modules(2)
    ('model.model', 'model.model.1.model.3.model')
    """
    return "model.model" + ".1.model" * min(block, 1) + ".3.model" * max(block - 1, 0)


def graph(name: str, sizes: Sizes) -> Graph:
    """(256, 256, 3) -> (256, 256, 3), both -1 to 1."""
    g = Graph(name)
    x = g.input("image", IMAGE)
    last = len(sizes.channels) - 1
    maps: list[Tensor] = []
    for i, channels in enumerate(sizes.channels):
        at = modules(i)
        if i > 0:
            x = g.add(f"{at}.0", LeakyReLU(SLOPE), x)
        conv = Conv2d(x.shape.channels, channels, KERNEL, stride=2, padding=1, bias=sizes.bias)
        x = g.add(_conv(i).removesuffix(".weight"), conv, x)
        if 0 < i < last:
            x = g.add(f"{at}.2", InstanceNorm(channels), x)
        maps.append(x)
    for i in range(last, -1, -1):
        at, first = modules(i), 4 if 0 < i < last else 2
        if i < last:
            x = g.add(f"{at}.concat", Concat(), maps[i], x)
        out = sizes.channels[i - 1] if i > 0 else IMAGE.channels
        bias = sizes.bias or i == 0
        tconv = ConvTranspose2d(x.shape.channels, out, KERNEL, stride=2, padding=1, bias=bias)
        x = g.add(f"{at}.{first + 1}", tconv, g.add(f"{at}.{first}", ReLU(), x))
        x = g.add(f"{at}.{first + 2}", InstanceNorm(out) if i > 0 else Tanh(), x)
    g.output(x)
    return g


def initial_weights(name: str, sizes: Sizes, seed: int) -> dict[str, np.ndarray]:
    """Seeded weights whose pictures are coloured noise, not saturated."""
    made = graph(name, sizes)
    strides = {f"{n.name}.weight": 2 for n in made.nodes if isinstance(n.layer, ConvTranspose2d)}
    return seeded_weights(made.parameters, seed, strides)


def _conv(block: int) -> str:
    """The weight's name of the convolution on the way down."""
    return f"{modules(block)}.{min(block, 1)}.weight"


def network_of(shapes: Mapping[str, Shape]) -> Network | None:
    """The network of model.model.0, model.model.1.model.1, ..."""
    channels: list[int] = []
    while len(shape := shapes.get(_conv(len(channels)), ())) == 4:
        channels.append(shape[0])
    if len(channels) < 3:
        return None
    if len(channels) > MOST_BLOCKS:
        raise ValueError(f"unet: found {len(channels)} blocks, expected {MOST_BLOCKS} at most")
    sizes = Sizes(tuple(channels), f"{modules(1)}.1.bias" in shapes)
    name = f"unet_{1 << len(channels)}"
    made = graph(name, sizes)
    return Network(
        name=name,
        summary="image to image: 256x256 RGB -> 256x256 RGB",
        graph=partial(graph, name, sizes),
        binary_layout=None,
        initial_weights=partial(initial_weights, name, sizes),
        model=Pix2Pix,
        foreign={"pytorch": layout_of(made, shapes)},
        adapt=partial(norm_added, made),
    )
