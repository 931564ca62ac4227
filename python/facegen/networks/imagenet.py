"""What networks with an encoder from ImageNet are shown, and weights that expect something else.

All of them take R, G, B of 0 to 255 less `MEAN`. Weights that were trained otherwise are changed in
the first convolution, conv1: it has no padding, so that nothing is lost at the borders.
"""

from __future__ import annotations

import numpy as np

MEAN = (123.0, 117.0, 104.0)  # R, G, B: what is subtracted from a picture's pixels
TORCHVISION_SIDE = 224
Box = tuple[float, float, float, float]  # left, top, right, bottom


def prepare(pixels: np.ndarray, side: int, box: Box | None = None) -> np.ndarray:
    """A picture as the networks take it.

    Parameters
    ----------
    pixels
        (height, width, 3) uint8, RGB.
    box
        The part of it that is resized to `side` x `side`; all if None.

    Returns
    -------
    (side, side, 3) float32: bilinear, as Pillow resizes (it averages where it makes smaller), less
    `MEAN`.
    """
    from PIL import Image

    small = Image.fromarray(pixels).resize((side, side), Image.Resampling.BILINEAR, box)
    return np.asarray(small, np.float32) - np.array(MEAN, np.float32)


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


def from_bgr(weights: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Weights whose conv1 takes B, G, R, for R, G, B."""
    return weights | {"conv1.weight": np.ascontiguousarray(weights["conv1.weight"][..., ::-1])}


def from_torchvision(weights: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Weights whose conv1 takes ``(v / 255 - mean) / std`` of a pixel v, for ``v - MEAN``.

    Exact but for one rounding of each number.
    """
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    weight = weights["conv1.weight"].astype(np.float64)
    shift = (np.array(MEAN) / 255 - mean) / std  # of a pixel that is MEAN
    return weights | {
        "conv1.weight": (weight / (255 * std)).astype(np.float32),
        "conv1.bias": (weights["conv1.bias"] + (weight * shift).sum((1, 2, 3))).astype(np.float32),
    }
