"""What is where in a picture: SqueezeNet's encoder and an FCN decoder, Pascal VOC's 21 classes.

| layer                            | output (HWC) | kernel/stride |
|----------------------------------|--------------|---------------|
| the encoder of `squeezenet`      | 13x13x512    |               |
| conv10, ReLU                     | 13x13x1000   | 1x1           |
| score_conv10 + score_pool8       | 13x13x21     | 1x1           |
| conv11, transposed, + score_pool4| 27x27x21     | 3x3/2         |
| conv12, transposed, + score_pool1| 55x55x21     | 3x3/2         |
| conv13, transposed               | 227x227x21   | 11x11/4       |

score_x: a 1x1 convolution of x to one map a class (skips: Long, Shelhamer, Darrell 2015). The
transposed convolutions have no padding and no bias. 1,348,951 parameters.
"""

from __future__ import annotations

import numpy as np

from facegen.networks.model import Model
from facegen.networks.network import Network
from facegen.networks.seeded import seeded_weights
from facegen.networks.squeezenet import IMAGE, conv_relu, encoder
from facegen.nn import Add, Conv2d, ConvTranspose2d, Graph, Tensor

CLASSES = 21  # of Pascal VOC; 0 is the background
_STRIDES = {"conv11": 2, "conv12": 2, "conv13": 4}


def graph() -> Graph:
    """(227, 227, 3) -> (227, 227, 21) logits."""
    g = Graph("segmentation")
    maps = encoder(g, g.input("image", IMAGE))
    x = conv_relu(g, "conv10", Conv2d(512, 1000, 1), maps.fire9)
    score = g.add("score", Add(), _score(g, "conv10", x), _score(g, "pool8", maps.pool8))
    x = _enlarge(g, "conv11", 3, score)
    x = g.add("sum4", Add(), x, _score(g, "pool4", maps.pool4))
    x = _enlarge(g, "conv12", 3, x)
    x = g.add("sum1", Add(), x, _score(g, "pool1", maps.pool1))
    g.output(_enlarge(g, "conv13", 11, x))
    return g


def _score(g: Graph, name: str, x: Tensor) -> Tensor:
    return g.add(f"score_{name}", Conv2d(x.shape.channels, CLASSES, 1), x)


def _enlarge(g: Graph, name: str, kernel: int, x: Tensor) -> Tensor:
    tconv = ConvTranspose2d(CLASSES, CLASSES, kernel, stride=_STRIDES[name], bias=False)
    return g.add(name, tconv, x)


def initial_weights(seed: int) -> dict[str, np.ndarray]:
    """Seeded weights: their class maps are noise, of the structure that the picture has."""
    strides = {f"{name}.weight": stride for name, stride in _STRIDES.items()}
    return seeded_weights(SEGMENTATION.shapes, seed, strides)


class Segmenter(Model):
    """The class of every pixel."""


SEGMENTATION = Network(
    name="segmentation",
    summary="class of every pixel: 227x227 RGB -> 227x227, 21 classes of Pascal VOC",
    graph=graph,
    binary_layout=None,
    initial_weights=initial_weights,
    model=Segmenter,
)
Segmenter.network = SEGMENTATION
