"""Real numbers of any type as float32."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray


def as_float32(values: ArrayLike, dtype: Any = np.float32) -> NDArray[Any]:
    """C-contiguous float32 (or `dtype`), of the same memory where it is that already.

    What does not fit becomes infinite, and whoever takes numbers from others refuses it with NaN:
    so there is no warning of it, nor of a NaN that signals.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        return np.ascontiguousarray(values, dtype)
