"""The discriminator: pictures (64, 64, 3) or larger -> how real each looks, (1, 1, 1).

| step                | output (HWC)   |
|---------------------|----------------|
| first, leaky ReLU   | 32x32x w       |
| block1              | 16x16x 2 w     |
| block2              | 8x8x 4 w       |
| block3              | 4x4x 4 w       |
| mix, leaky ReLU     | 4x4x 4 w       |
| hidden, leaky ReLU  | 4 w            |
| score               | 1              |

The first layer is 4x4 with stride 2: of the 12 numbers of 2x2 pixels it makes w, which from 12 on
loses nothing. No map has the side of the picture: of few channels such maps keep memory busy, and
tensor cores idle. A block is residual and halves the side: 3x3, then 4x4 with stride 2, both with
leaky ReLU; beside it the mean of 2x2 pixels and 1x1. There is no normalisation: a gradient penalty
keeps it in check. Pictures of twice the side have one block more in front, of half as many
channels: 64x64x w/2.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from itertools import pairwise
from math import prod

import numpy as np

from facegen.errors import FormatError
from facegen.graphs import GraphNetwork, file, same_computation
from facegen.nn import (
    Add,
    AvgPool2d,
    Conv2d,
    Graph,
    LeakyReLU,
    Linear,
    Reshape,
    Shape,
    Sub,
)
from facegen.nn.graph import Tensor

SLOPE = 0.2
FILE = "discriminator.safetensors"  # in the folder of a run
_GROWTH = (1, 2, 4, 4)  # times the width: channels of the 32x32, 16x16, 8x8 and 4x4 maps


def graph(width: int, against: bool = False, side: int = 64) -> Graph:
    """Pictures of a side, 64 times a power of 2, the input "picture", to the output "score".

    With `against`, the output "lead" is the score less the input "others": that of others.
    """
    channels = [width * growth for growth in _GROWTH]
    for halvings in range(1, (side // 64).bit_length()):
        channels.insert(0, max(1, width >> halvings))
    g = Graph("discriminator")

    def leaky(name: str, x: Tensor) -> Tensor:
        return g.add(f"{name}.leaky", LeakyReLU(SLOPE), x)

    x = g.input("picture", Shape(side, side, 3))
    x = leaky("first", g.add("first", Conv2d(3, channels[0], 4, stride=2, padding=1), x))
    for i, (before, after) in enumerate(pairwise(channels)):
        n = f"block{i + 1}"
        keep = leaky(f"{n}.keep", g.add(f"{n}.keep", Conv2d(before, before, 3, padding=1), x))
        halve = Conv2d(before, after, 4, stride=2, padding=1)
        residual = leaky(f"{n}.halve", g.add(f"{n}.halve", halve, keep))
        mean = g.add(f"{n}.mean", AvgPool2d(2), x)
        shortcut = g.add(f"{n}.shortcut", Conv2d(before, after, 1, bias=False), mean)
        x = g.add(n, Add(), residual, shortcut)
    last = channels[-1]
    x = leaky("mix", g.add("mix", Conv2d(last, last, 3, padding=1), x))
    x = g.add("flat", Reshape(Shape(1, 1, 16 * last)), x)
    x = leaky("hidden", g.add("hidden", Linear(16 * last, last), x))
    x = g.add("score", Linear(last, 1, bias=False), x)
    if against:
        x = g.add("lead", Sub(), x, g.input("others", Shape(1, 1, 1)))
    g.output(x)
    return g


def initial_weights(width: int, seed: int, side: int = 64) -> dict[str, np.ndarray]:
    """Normal, of variance 2 / (1 + slope^2) / fan-in (He et al. 2015); biases 0.

    Of layers whose results are added: half of it.
    """
    random = np.random.default_rng(seed)
    weights = {}
    for name, shape in graph(width, side=side).parameters.items():
        values = np.zeros(shape)
        if name.endswith(".weight"):
            gain = 1.0 if name.startswith("score.") else 2 / (1 + SLOPE**2)
            gain /= 2 if ".halve." in name or ".shortcut." in name else 1
            values = random.normal(0, (gain / prod(shape[1:])) ** 0.5, shape)
        weights[name] = values.astype(np.float32)
    return weights


def write(
    path: str | os.PathLike[str], weights: Mapping[str, np.ndarray], width: int, side: int
) -> None:
    """Write what a run has learned, for others that start from it; OSError where that fails."""
    file.write(path, GraphNetwork.of(graph(width, side=side), weights))


def read(path: str | os.PathLike[str], width: int, side: int) -> dict[str, np.ndarray]:
    """Weights of a file that `write` made.

    Raises
    ------
    FormatError
        It is damaged, or of another width or side, or no discriminator.
    OSError
        It cannot be read.
    """
    found, expected = file.read(path), graph(width, side=side)
    if not same_computation(found.graph, expected):
        raise FormatError(
            f"{path}: expected a discriminator of --width {width} for {side}x{side}, found "
            f"{found.graph.name} of other layers (another width or side, or an earlier version)"
        )
    return dict(found.weights)
