"""A part of each picture hidden (DeVries and Taylor 2017)."""

from __future__ import annotations

from typing import Any

import numpy as np

from facegen.train.augment.arrays import check_pictures


def cutout(pictures: Any, x: Any, y: Any, share: float) -> np.ndarray:
    """Greys out a square, `share` of the side, about `x`, `y`: each (n,), 0 to 1 in the picture.

    It is its own adjoint.
    """
    hidden = check_pictures(pictures).copy()
    places = squares(x, y, share, *hidden.shape[1:3])
    for picture, (top, bottom, left, right) in zip(hidden, places, strict=True):
        picture[top:bottom, left:right] = 0
    return hidden


def squares(x: Any, y: Any, share: float, height: int, width: int) -> np.ndarray:
    """The rows and columns that `cutout` hides, from and to: (n, 4) int32."""
    ranges = []
    for centres, size in ((y, height), (x, width)):
        middles = (np.arange(size) + 0.5) / size
        inside = np.abs(middles - np.asarray(centres, float)[:, np.newaxis]) < share / 2
        first = inside.argmax(axis=1)
        ranges += [first, first + inside.sum(axis=1)]
    return np.ascontiguousarray(np.stack(ranges, axis=1), np.int32)
