"""The patch discriminator of pix2pix (Isola et al. 2017): each score is of 70x70 pixels.

| layer                                    | of 256x256: output (HWC) | width 64       |
|------------------------------------------|--------------------------|----------------|
| concat(source, picture)                  | 256x256x6                |                |
| conv 4x4/2, LeakyReLU(0.2)               | 128x128                  | 64             |
| conv 4x4/2, norm, LeakyReLU              | 64x64                    | 128            |
| the same                                 | 32x32                    | 256            |
| conv 4x4/1, norm, LeakyReLU              | 31x31                    | 512            |
| conv 4x4/1                               | 30x30                    | 1, a score     |

Convolutions have padding 1; the norm is by each picture's own statistics, as the generator's.
"""

from __future__ import annotations

from facegen.networks.pix2pix import IMAGE, KERNEL, SLOPE
from facegen.nn import Concat, Conv2d, Graph, InstanceNorm, LeakyReLU, Shape

SOURCE, PICTURE = "source", "picture"  # its inputs: what a picture is made from, and the picture
STRIDES = (2, 2, 2, 1)


def graph(side: int = IMAGE.height, width: int = 64) -> Graph:
    """Two pictures (side, side, 3), -1 to 1, to scores: more than 0 for a real pair."""
    g = Graph("discriminator")
    shape = Shape(side, side, IMAGE.channels)
    x = g.add("d.concat", Concat(), g.input(SOURCE, shape), g.input(PICTURE, shape))
    for i, stride in enumerate(STRIDES, start=1):
        channels = width * min(1 << (i - 1), 8)
        conv = Conv2d(x.shape.channels, channels, KERNEL, stride=stride, padding=1)
        x = g.add(f"d.conv{i}", conv, x)
        if i > 1:
            x = g.add(f"d.norm{i}", InstanceNorm(channels), x)
        x = g.add(f"d.leaky_relu{i}", LeakyReLU(SLOPE), x)
    g.output(g.add("score", Conv2d(x.shape.channels, 1, KERNEL, padding=1), x))
    return g
