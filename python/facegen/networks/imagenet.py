"""What networks of ImageNet's pictures are shown, and weights that expect something else.

SqueezeNet's and its like take R, G, B of 0 to 255 less `MEAN`. Weights that were trained otherwise
are changed in the first convolution, conv1: it has no padding, so that nothing is lost at the
borders. Where it has some, as in ResNet, a border of zeros means the mean pixel, and the network
takes what torchvision makes of a picture: `normalised`.
"""

from __future__ import annotations

import numpy as np

MEAN = (123.0, 117.0, 104.0)  # R, G, B: what is subtracted from a picture's pixels
TORCHVISION_SIDE = 224
PIXEL_RANGE = (-123.0, 151.0)  # of pixels less MEAN
# Of R, G, B of 0 to 1, as torchvision subtracts and divides.
TORCHVISION_MEAN = (0.485, 0.456, 0.406)
TORCHVISION_STD = (0.229, 0.224, 0.225)
Sides = tuple[int, int]  # height, width
Box = tuple[float, float, float, float]  # left, top, right, bottom


def prepare(pixels: np.ndarray, side: int | Sides, box: Box | None = None) -> np.ndarray:
    """A picture as the networks take it.

    Parameters
    ----------
    pixels
        (height, width, 3) uint8, RGB.
    side
        Of the square that it becomes; or its height and width.
    box
        The part of it that is resized; all if None.

    Returns
    -------
    (side, side, 3) float32: bilinear, as Pillow resizes (it averages where it makes smaller), less
    `MEAN`.
    """
    return _resized(pixels, side, box) - np.array(MEAN, np.float32)


def centred_square(pixels: np.ndarray, side: int) -> np.ndarray:
    """The largest square in the middle of a picture, as `prepare` has it."""
    height, width, _ = pixels.shape
    square = min(height, width)
    left, top = (width - square) // 2, (height - square) // 2
    return prepare(pixels, side, (left, top, left + square, top + square))


def torchvision_crop(pixels: np.ndarray) -> np.ndarray:
    """What torchvision's networks are shown of a picture, as `prepare` has it."""
    return prepare(pixels, TORCHVISION_SIDE, torchvision_box(*pixels.shape[:2]))


def normalised(pixels: np.ndarray) -> np.ndarray:
    """The same crop as torchvision hands it on: ``(v / 255 - mean) / std`` of a pixel v."""
    return normalised_at(pixels, TORCHVISION_SIDE, torchvision_box(*pixels.shape[:2]))


def normalised_at(pixels: np.ndarray, side: int | Sides, box: Box | None = None) -> np.ndarray:
    """What `prepare` makes of a picture, as torchvision hands it on."""
    crop = _resized(pixels, side, box)
    mean, std = np.array(TORCHVISION_MEAN, np.float32), np.array(TORCHVISION_STD, np.float32)
    return (crop / np.float32(255) - mean) / std


def _resized(pixels: np.ndarray, side: int | Sides, box: Box | None) -> np.ndarray:
    from PIL import Image

    height, width = (side, side) if isinstance(side, int) else side
    small = Image.fromarray(pixels).resize((width, height), Image.Resampling.BILINEAR, box)
    return np.asarray(small, np.float32)


def torchvision_box(height: int, width: int) -> Box:
    """The box of a picture that torchvision's networks are shown.

    The shorter side is resized to 256 pixels, then 224x224 are cut from the middle; both at once
    is a box of the picture, resized.
    """
    short = min(height, width)
    spans = []
    for size in (width, height):
        resized = 256 * size // short
        first = round((resized - TORCHVISION_SIDE) / 2)
        spans.append((first * size / resized, (first + TORCHVISION_SIDE) * size / resized))
    (left, right), (top, bottom) = spans
    return left, top, right, bottom


def summary(side: int, classes: int) -> str:
    """What a network is for, in a line."""
    of = " of ImageNet" if classes == 1000 else ""
    return f"what a picture shows: {side}x{side} RGB -> {classes:,} classes{of}"


def from_bgr(weights: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Weights whose conv1 takes B, G, R, for R, G, B."""
    return weights | {"conv1.weight": np.ascontiguousarray(weights["conv1.weight"][..., ::-1])}


def from_torchvision(weights: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Weights whose conv1 takes ``(v / 255 - mean) / std`` of a pixel v, for ``v - MEAN``.

    Exact but for one rounding of each number.
    """
    mean, std = np.array(TORCHVISION_MEAN), np.array(TORCHVISION_STD)
    weight = weights["conv1.weight"].astype(np.float64)
    shift = (np.array(MEAN) / 255 - mean) / std  # of a pixel that is MEAN
    return weights | {
        "conv1.weight": (weight / (255 * std)).astype(np.float32),
        "conv1.bias": (weights["conv1.bias"] + (weight * shift).sum((1, 2, 3))).astype(np.float32),
    }
