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
    height, width = hidden.shape[1:3]
    rows, columns = ((np.arange(size) + 0.5) / size for size in (height, width))
    for picture, centre_x, centre_y in zip(hidden, x, y, strict=True):
        inside_x = np.flatnonzero(np.abs(columns - centre_x) < share / 2)
        inside_y = np.flatnonzero(np.abs(rows - centre_y) < share / 2)
        if len(inside_x) and len(inside_y):
            picture[inside_y[0] : inside_y[-1] + 1, inside_x[0] : inside_x[-1] + 1] = 0
    return hidden
