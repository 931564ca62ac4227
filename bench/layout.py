"""Arrays to and from the peers' layout."""

from __future__ import annotations

import numpy as np


def nchw(x: np.ndarray) -> np.ndarray:
    """(n, h, w, c) as a contiguous (n, c, h, w)."""
    return np.ascontiguousarray(x.transpose(0, 3, 1, 2))


def nhwc(x: np.ndarray) -> np.ndarray:
    """A view of (n, c, h, w) as (n, h, w, c)."""
    return x.transpose(0, 2, 3, 1)
