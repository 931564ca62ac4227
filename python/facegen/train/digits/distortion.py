"""Digits shifted, turned, sheared, scaled and stretched a little, each by other random amounts.

All of it is one bilinear resampling. A matrix takes a point of the result to the point of the image
that is seen there; coordinates span -1 to 1, x to the right and y down. Outside is black.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Distortion:
    """The largest amount of each kind, either way.

    Attributes
    ----------
    shift
        As a share of the side.
    turn, shear
        In degrees.
    scale, stretch
        Enlargement less 1, of both sides alike or of one against the other.
    """

    shift: float = 0.08
    turn: float = 12.0
    shear: float = 8.0
    scale: float = 0.12
    stretch: float = 0.1

    def __call__(self, images: np.ndarray, random: np.random.Generator) -> np.ndarray:
        """Images (n, height, width, 1) float32 -> the same shape, by amounts drawn for each."""
        return resample(images, self._matrices(len(images), random))

    def _matrices(self, n: int, random: np.random.Generator) -> np.ndarray:
        """(n, 2, 3), drawn for n images."""

        def around_zero(most: float) -> np.ndarray:
            return random.uniform(-most, most, n)

        def around_one(most: float) -> np.ndarray:
            return np.exp(around_zero(np.log1p(most)))

        turn, lean = np.radians(around_zero(self.turn)), np.radians(around_zero(self.shear))
        zoom, ratio = around_one(self.scale), np.sqrt(around_one(self.stretch))
        cos, sin, slope = np.cos(turn), np.sin(turn), np.tan(lean)
        along, across = 1 / (zoom * ratio), ratio / zoom
        matrices = np.empty((n, 2, 3))
        # The turn, times the shear, times scale and stretch.
        matrices[:, 0, 0], matrices[:, 0, 1] = cos * along, (cos * slope + sin) * across
        matrices[:, 1, 0], matrices[:, 1, 1] = -sin * along, (cos - sin * slope) * across
        matrices[:, :, 2] = 2 * random.uniform(-self.shift, self.shift, (n, 2))
        return matrices


def resample(images: np.ndarray, matrices: np.ndarray) -> np.ndarray:
    """Images (n, height, width, 1) as `matrices`, (n, 2, 3), show them; bilinear, black outside."""
    n, height, width, _ = images.shape
    ys, xs = ((np.arange(size) + 0.5) * 2 / size - 1 for size in (height, width))
    points = np.stack([*np.broadcast_arrays(xs[None, :], ys[:, None]), np.ones((height, width))])
    seen = matrices @ points.reshape(3, -1)  # (n, 2, pixels)
    # As pixels of the image with a black pixel on each side; what is further out is as black.
    sizes = np.array([[width], [height]])
    at = np.clip((seen + 1) * sizes / 2 + 0.5, 0, sizes + 1)
    low = at.astype(np.int64)
    share = (at - low).astype(np.float32)
    framed = np.pad(images[..., 0], ((0, 0), (1, 2), (1, 2))).reshape(-1)
    row = width + 3
    first = np.arange(n)[:, None] * (row * (height + 3)) + low[:, 1] * row + low[:, 0]
    x, y = share[:, 0], share[:, 1]
    top = framed[first] * (1 - x) + framed[first + 1] * x
    bottom = framed[first + row] * (1 - x) + framed[first + row + 1] * x
    return (top * (1 - y) + bottom * y).reshape(images.shape)
