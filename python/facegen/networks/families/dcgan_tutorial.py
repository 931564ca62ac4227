"""Faces from noise: the generator of PyTorch's DCGAN tutorial (Inkawhich 2018) and its examples.

| layer                      | output (HWC), 64 pixels, width 64 |
|----------------------------|-----------------------------------|
| latent                     | 1x1x100                           |
| main.0, main.1, ReLU       | 4x4x512                           |
| main.3, main.4, ReLU       | 8x8x256                           |
| main.6, main.7, ReLU       | 16x16x128                         |
| main.9, main.10, ReLU      | 32x32x64                          |
| main.12, tanh              | 64x64x3                           |

main.0 is a transposed convolution 4x4 of the 1x1 latent; those after it are 4x4/2 with padding 1
and double the map. Each but the last has a batch norm behind it. One more makes pictures of 128
pixels, one less of 32. The latent numbers are normally distributed.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import NamedTuple

import numpy as np

from facegen.networks.dcgan import Generator
from facegen.networks.foreign import foreign_layout, torch_name
from facegen.networks.network import Network
from facegen.networks.priors import NORMAL
from facegen.networks.seeded import seeded_weights
from facegen.nn import BatchNorm, ConvTranspose2d, Graph, ReLU, Shape, Tanh
from facegen.weights.checks import Shape as TensorShape

NAME = "dcgan-tutorial"
KERNEL = 4
MOST_LAYERS = 9  # which make pictures of 1,024 pixels


class Sizes(NamedTuple):
    """What its networks differ in."""

    channels: tuple[int, ...]  # of the latent vector, and behind each transposed convolution
    bias: bool = False  # of the transposed convolutions, which the tutorial's have not

    @property
    def layers(self) -> int:
        return len(self.channels) - 1

    @property
    def side(self) -> int:
        """Pixels of a picture's side."""
        return KERNEL << (self.layers - 1)


def graph(sizes: Sizes) -> Graph:
    """(1, 1, latent) -> (side, side, channels)."""
    g = Graph(NAME)
    x = g.input("latent", Shape(1, 1, sizes.channels[0]))
    for i in range(sizes.layers):
        before, after = sizes.channels[i : i + 2]
        stride, padding = (2, 1) if i else (1, 0)
        tconv = ConvTranspose2d(before, after, KERNEL, stride, padding, bias=sizes.bias)
        x = g.add(f"main.{3 * i}", tconv, x)
        if i < sizes.layers - 1:
            x = g.add(f"main.{3 * i + 1}", BatchNorm(after), x)
            x = g.add(f"main.{3 * i + 2}", ReLU(), x)
    g.output(g.add(f"main.{3 * sizes.layers - 2}", Tanh(), x))
    return g


def initial_weights(sizes: Sizes, seed: int) -> dict[str, np.ndarray]:
    """Seeded weights whose pictures are coloured noise of middle contrast, not saturated."""
    # A pixel of main.0 sees one tap of its kernel's 16, which is a stride of 4.
    strides = {f"main.{3 * i}.weight": 2 if i else KERNEL for i in range(sizes.layers)}
    return seeded_weights(graph(sizes).parameters, seed, strides)


def network_of(shapes: Mapping[str, TensorShape]) -> Network | None:
    """The network of main.0, main.3, ... with main.1's batch norm: discriminators have main.2."""
    if "main.1.running_mean" not in shapes or "main.3.weight" not in shapes:
        return None
    channels = list(shapes.get("main.0.weight", ())[:1])
    while len(shape := shapes.get(f"main.{3 * (len(channels) - 1)}.weight", ())) == 4:
        channels.append(shape[1])
    layers = len(channels) - 1
    if not 2 <= layers <= MOST_LAYERS:
        raise ValueError(f"{NAME}: found {layers} transposed convolutions (main.0, main.3, ...)")
    return network(Sizes(tuple(channels), "main.0.bias" in shapes))


def network(sizes: Sizes) -> Network:
    colour = {1: "grey", 3: "RGB"}.get(sizes.channels[-1], f"{sizes.channels[-1]} channels")
    return Network(
        name=NAME,
        summary=f"pictures from noise: {sizes.channels[0]} numbers -> "
        f"{sizes.side}x{sizes.side} {colour}",
        graph=partial(graph, sizes),
        binary_layout=None,
        initial_weights=partial(initial_weights, sizes),
        model=Generator,
        foreign={"pytorch": foreign_layout(graph(sizes), torch_name)},
        input_range=(-2.0, 2.0),
        prior=NORMAL,
    )
