"""Handwritten digits: LeNet's plan (LeCun, Bottou, Bengio, Haffner 1998) with today's layers.

| step                  | output (HWC) | parameters |
|-----------------------|--------------|-----------:|
| image                 | 28x28x1      |            |
| conv1 5x5, ReLU       | 24x24x32     |        832 |
| pool1 max 2x2         | 12x12x32     |            |
| conv2 5x5, ReLU       | 8x8x64       |     51,264 |
| pool2 max 2x2         | 4x4x64       |            |
| hidden linear, ReLU   | 256          |    262,400 |
| score linear, softmax | 10           |      2,570 |

317,066 parameters in all. Images are as MNIST's: light strokes on black, 0 to 1. The maps are read
in (height, width, channel) order by the hidden layer.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from facegen.errors import FormatError
from facegen.networks.model import Model, on_host
from facegen.networks.network import Network
from facegen.networks.seeded import seeded_weights
from facegen.nn import Conv2d, Graph, Linear, MaxPool2d, ReLU, Reshape, Shape, Softmax
from facegen.numbers.floats import as_float32

IMAGE = Shape(28, 28, 1)
CHANNELS = (32, 64)  # of the two convolutions
HIDDEN = 256
DIGITS = 10
KERNEL = 5


def graph() -> Graph:
    """(28, 28, 1) -> (1, 1, 10), the probability of each digit."""
    g = Graph("lenet")
    x = g.input("image", IMAGE)
    x = g.add("conv1", Conv2d(1, CHANNELS[0], KERNEL), x)
    x = g.add("relu1", ReLU(), x)
    x = g.add("pool1", MaxPool2d(2), x)
    x = g.add("conv2", Conv2d(*CHANNELS, KERNEL), x)
    x = g.add("relu2", ReLU(), x)
    x = g.add("pool2", MaxPool2d(2), x)
    x = g.add("flat", Reshape(Shape(1, 1, x.shape.floats)), x)
    x = g.add("hidden", Linear(x.shape.channels, HIDDEN), x)
    x = g.add("relu3", ReLU(), x)
    x = g.add("score", Linear(HIDDEN, DIGITS), x)
    g.output(g.add("softmax", Softmax(), x))
    return g


def initial_weights(seed: int) -> dict[str, np.ndarray]:
    """Seeded weights, whose guesses are as good as any without training."""
    return seeded_weights(graph().parameters, seed)


def check_images(images: Any) -> np.ndarray:
    """Images as the network takes them: (n, 28, 28, 1) float32, 0 to 1.

    Parameters
    ----------
    images
        (n, 28, 28), (n, 28, 28, 1), or one (28, 28): uint8, or numbers from 0 (black) to 1.

    Raises
    ------
    FormatError
        Another shape or type, or a number that is not from 0 to 1.
    """
    pixels = np.asarray(images)
    height, width, channels = IMAGE
    if pixels.ndim == 2:
        pixels = pixels[np.newaxis]
    if pixels.shape[1:] not in ((height, width), (height, width, channels)):
        raise FormatError(
            f"digits: expected shape (n, {height}, {width}), found {np.asarray(images).shape}"
        )
    if pixels.dtype != np.uint8 and pixels.dtype.kind != "f":
        raise FormatError(f"digits: expected uint8, or floats from 0 to 1, found {pixels.dtype}")
    values = as_float32(pixels.reshape(-1, *IMAGE))
    if pixels.dtype == np.uint8:
        return values / np.float32(255)
    outside = ~((values >= 0) & (values <= 1))  # NaN too
    if outside.any():
        place = np.unravel_index(outside.argmax(), outside.shape)
        where = [int(i) for i in place[:3]]
        raise FormatError(f"digits: expected numbers from 0 to 1, found {values[place]} at {where}")
    return values


class Guesses(NamedTuple):
    """What a `DigitClassifier` makes of n images."""

    digits: np.ndarray  # (n,) int64, the most probable digit
    probabilities: np.ndarray  # (n, 10) float32, of all ten; each row adds up to 1

    @classmethod
    def of(cls, probabilities: np.ndarray) -> Guesses:
        return cls(probabilities.argmax(axis=1), probabilities)


class DigitClassifier(Model):
    """Which digit an image shows.

    Parameters
    ----------
    network
        A file of weights or a dict of them; the package's own digits if None.
    device, threads, precision, algorithm
        As for `facegen.load`.

    Raises
    ------
    FacegenError, ValueError, OSError
        As for `facegen.load`.

    Examples
    --------
    >>> classifier = DigitClassifier()
    >>> digits, probabilities = classifier(np.zeros((3, 28, 28), np.uint8))
    >>> digits.shape, probabilities.shape
    ((3,), (3, 10))
    """

    def __call__(self, images: Any) -> Guesses:
        """The digit that each image shows.

        Parameters
        ----------
        images
            An array (n, 28, 28), or one (28, 28), light strokes on black as MNIST's: uint8, or
            floats from 0 to 1. Or pictures of one digit each, of any size and colours: a path, a
            Pillow image, or a list of them, which `facegen.media.digits` prepares.

        Returns
        -------
        Guesses
            ``digits``, (n,) int64, and ``probabilities``, (n, 10) float32.

        Raises
        ------
        FormatError
            Another shape or type, a number that is not from 0 to 1, or a picture that cannot be
            read or shows nothing.
        OSError
            A file cannot be read.
        """
        images = on_host(images)
        if not isinstance(images, np.ndarray):
            from facegen.media.digits import prepare

            images = prepare(images)
        probabilities = self.runner(check_images(images)).reshape(-1, DIGITS)
        return Guesses.of(probabilities)


LENET = Network(
    name="lenet",
    summary="handwritten digits: 28x28 grey -> the probability of each digit",
    graph=graph,
    binary_layout=None,
    initial_weights=initial_weights,
    model=DigitClassifier,
)
