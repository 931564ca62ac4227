"""Handwritten digits by a binary network: LeNet's plan, most of whose products are of signs.

| step                            | output (HWC) | parameters |
|---------------------------------|--------------|-----------:|
| image, in 255ths                | 28x28x1      |            |
| conv1 5x5                       | 24x24x64     |      1,600 |
| pool1 max 2x2, norm1, sign      | 12x12x64     |        256 |
| conv2 5x5, binary               | 8x8x64       |    102,400 |
| pool2 max 2x2, norm2, sign      | 4x4x64       |        256 |
| hidden linear, binary           | 512          |    524,288 |
| norm3, sign                     | 512          |      2,048 |
| score linear, binary            | 10           |      5,120 |
| norm4, softmax                  | 10           |         40 |

Binary layers (Courbariaux, Hubara, Soudry, El-Yaniv and Bengio 2016, "Binarized Neural Networks")
multiply signs by signs: 631,808 of the weights are a bit each. The first layer reads whole numbers
from 0 to 255, and its weights are stored in steps of 2^-8: so its sums are exact too, and all that
comes before the last norm has the same bits on every processor.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from facegen.networks import lenet
from facegen.networks.network import Network
from facegen.networks.seeded import seeded_weights
from facegen.nn import (
    Affine,
    BatchNorm,
    Conv2d,
    Graph,
    Linear,
    MaxPool2d,
    Reshape,
    Shape,
    Sign,
    Softmax,
)
from facegen.numbers.rounding import FixedPoint

CHANNELS = (64, 64)  # of the two convolutions
HIDDEN = 512


def graph() -> Graph:
    """(28, 28, 1) -> (1, 1, 10), the probability of each digit."""
    g = Graph("lenet-binary")
    x = g.input("image", lenet.IMAGE)
    x = g.add("pixels", Affine(255.0), x)
    x = g.add("conv1", Conv2d(1, CHANNELS[0], lenet.KERNEL, bias=False), x)
    x = g.add("pool1", MaxPool2d(2), x)
    x = g.add("norm1", BatchNorm(CHANNELS[0]), x)
    x = g.add("sign1", Sign(), x)
    x = g.add("conv2", Conv2d(*CHANNELS, lenet.KERNEL, bias=False, binary=True), x)
    x = g.add("pool2", MaxPool2d(2), x)
    x = g.add("norm2", BatchNorm(CHANNELS[1]), x)
    x = g.add("sign2", Sign(), x)
    x = g.add("flat", Reshape(Shape(1, 1, x.shape.floats)), x)
    x = g.add("hidden", Linear(x.shape.channels, HIDDEN, bias=False, binary=True), x)
    x = g.add("norm3", BatchNorm(HIDDEN), x)
    x = g.add("sign3", Sign(), x)
    x = g.add("score", Linear(HIDDEN, lenet.DIGITS, bias=False, binary=True), x)
    x = g.add("norm4", BatchNorm(lenet.DIGITS), x)
    g.output(g.add("softmax", Softmax(), x))
    return g


def initial_weights(seed: int) -> dict[str, np.ndarray]:
    """Seeded weights, whose guesses are as good as any without training."""
    return seeded_weights(graph().parameters, seed)


def stored(weights: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Trained weights as they are written: signs, and those of the first layer in steps of 2^-8."""
    result = {name: array.copy() for name, array in weights.items()}
    for name in ("conv2.weight", "hidden.weight", "score.weight"):
        result[name] = np.where(weights[name] < 0, np.float32(-1), np.float32(1))
    result["conv1.weight"] = FixedPoint(3, 8)(weights["conv1.weight"])
    return result


BINARY_LENET = Network(
    name="lenet-binary",
    summary="handwritten digits by products of signs: 28x28 grey -> the probability of each digit",
    graph=graph,
    binary_layout=None,
    initial_weights=initial_weights,
    model=lenet.DigitClassifier,
    input_range=(0.0, 1.0),
)
