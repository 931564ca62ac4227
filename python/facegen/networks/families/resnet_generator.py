"""Image to image: resnet_9blocks of pytorch-CycleGAN-and-pix2pix (Zhu et al. 2017).

| module of `model`                           | output (HWC) | kernel/stride |
|---------------------------------------------|--------------|---------------|
| image, RGB, -1 to 1                         | 256x256x3    |               |
| 0 to 3: reflected border of 3, conv, norm, ReLU | 256x256x64 | 7x7         |
| 4 to 6: conv, norm, ReLU                    | 128x128x128  | 3x3/2         |
| 7 to 9: conv, norm, ReLU                    | 64x64x256    | 3x3/2         |
| 10 to 18: residual blocks                   | 64x64x256    | 3x3           |
| 19 to 21: tconv, norm, ReLU                 | 128x128x128  | 3x3/2         |
| 22 to 24: tconv, norm, ReLU                 | 256x256x64   | 3x3/2         |
| 25 to 27: reflected border of 3, conv, tanh | 256x256x3    | 7x7           |

A residual block adds to its input: reflected border of 1, conv, norm, ReLU, and the first three
again. resnet_6blocks has six. Where networks were trained with dropout, a block has it in its
middle, and what follows has numbers one higher. The norm is as `families/unet.py` has it.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from itertools import count, takewhile
from typing import NamedTuple

import numpy as np

from facegen.networks.families.own_statistics import layout_of, norm_added
from facegen.networks.network import Network
from facegen.networks.pix2pix import IMAGE, Pix2Pix
from facegen.networks.seeded import seeded_weights
from facegen.nn import (
    Add,
    Conv2d,
    ConvTranspose2d,
    Graph,
    InstanceNorm,
    Pad2d,
    ReLU,
    Tanh,
    Tensor,
)
from facegen.weights.checks import Shape

FIRST_BLOCK = 10


class Sizes(NamedTuple):
    """What they differ in."""

    channels: tuple[int, int, int]  # of the maps on the way down
    blocks: int
    bias: bool  # of convolutions with a norm behind them: with instance norm
    dropout: bool  # was in the blocks


def graph(name: str, sizes: Sizes) -> Graph:
    """(256, 256, 3) -> (256, 256, 3), both -1 to 1."""
    g = Graph(name)
    first, second, third = sizes.channels
    x = _reflected(g, "model.0", 3, g.input("image", IMAGE))
    x = _norm_relu(g, 1, Conv2d(IMAGE.channels, first, 7, bias=sizes.bias), x)
    x = _norm_relu(g, 4, Conv2d(first, second, 3, 2, padding=1, bias=sizes.bias), x)
    x = _norm_relu(g, 7, Conv2d(second, third, 3, 2, padding=1, bias=sizes.bias), x)
    for i in range(FIRST_BLOCK, FIRST_BLOCK + sizes.blocks):
        x = _block(g, f"model.{i}", sizes, x)
    at = FIRST_BLOCK + sizes.blocks
    for i, (before, after) in enumerate(((third, second), (second, first))):
        tconv = ConvTranspose2d(before, after, 3, 2, 1, output_padding=1, bias=sizes.bias)
        x = _norm_relu(g, at + 3 * i, tconv, x)
    x = _reflected(g, f"model.{at + 6}", 3, x)
    x = g.add(f"model.{at + 7}", Conv2d(first, IMAGE.channels, 7), x)
    g.output(g.add(f"model.{at + 8}", Tanh(), x))
    return g


def _norm_relu(g: Graph, at: int, conv: Conv2d | ConvTranspose2d, x: Tensor) -> Tensor:
    x = g.add(f"model.{at + 1}", InstanceNorm(conv.out_channels), g.add(f"model.{at}", conv, x))
    return g.add(f"model.{at + 2}", ReLU(), x)


def _reflected(g: Graph, name: str, border: int, x: Tensor) -> Tensor:
    return g.add(name, Pad2d(border, "reflect"), x)


def _block(g: Graph, name: str, sizes: Sizes, x: Tensor) -> Tensor:
    channels = x.shape.channels
    y = x
    for at in (0, _second(sizes.dropout)):
        y = _reflected(g, f"{name}.conv_block.{at}", 1, y)
        conv = Conv2d(channels, channels, 3, bias=sizes.bias)
        y = g.add(f"{name}.conv_block.{at + 1}", conv, y)
        y = g.add(f"{name}.conv_block.{at + 2}", InstanceNorm(channels), y)
        if at == 0:
            y = g.add(f"{name}.conv_block.3", ReLU(), y)
    return g.add(f"{name}.add", Add(), x, y)


def _second(dropout: bool) -> int:
    """Where the second half of a block begins."""
    return 5 if dropout else 4


def initial_weights(name: str, sizes: Sizes, seed: int) -> dict[str, np.ndarray]:
    """Seeded weights whose pictures are coloured noise, not saturated."""
    made = graph(name, sizes)
    strides = {f"{n.name}.weight": 2 for n in made.nodes if isinstance(n.layer, ConvTranspose2d)}
    weights = seeded_weights(made.parameters, seed, strides)
    last = f"model.{FIRST_BLOCK + sizes.blocks + 7}.weight"
    return weights | {last: weights[last] * np.float32(1 / 2)}


def network_of(shapes: Mapping[str, Shape]) -> Network | None:
    """The network whose blocks are model.10.conv_block, model.11.conv_block, ..."""
    names = (f"model.{i}.conv_block.1.weight" for i in count(FIRST_BLOCK))
    blocks = len(list(takewhile(shapes.__contains__, names)))
    channels = [(shapes.get(f"model.{i}.weight") or (0,))[0] for i in (1, 4, 7)]
    if not blocks or 0 in channels:
        return None
    dropout = f"model.{FIRST_BLOCK}.conv_block.6.weight" in shapes and (
        len(shapes[f"model.{FIRST_BLOCK}.conv_block.6.weight"]) == 4
    )
    first, second, third = channels
    sizes = Sizes((first, second, third), blocks, "model.1.bias" in shapes, dropout)
    name = f"resnet_{blocks}blocks"
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
