"""What all kinds take: pictures, and amounts for each of them."""

from __future__ import annotations

from typing import Any

import numpy as np


def check_pictures(pictures: Any) -> np.ndarray:
    """As C-contiguous float32; ValueError unless of shape (n, h, w, c), with pixels."""
    array = np.asarray(pictures)
    if array.dtype != np.float32 or array.ndim != 4 or 0 in array.shape[1:]:
        raise ValueError(
            f"pictures: expected float32 of shape (n, h, w, c), found {array.dtype} of shape "
            f"{array.shape}"
        )
    return np.ascontiguousarray(array)


def check_amounts(name: str, amounts: Any, shape: tuple[int, ...]) -> np.ndarray:
    """As C-contiguous float32; ValueError unless finite and of this shape."""
    array = np.asarray(amounts, np.float32)
    if array.shape != shape:
        raise ValueError(f"{name}: expected shape {shape}, found {array.shape}")
    if not np.isfinite(array).all():
        raise ValueError(f"{name}: expected finite numbers")
    return np.ascontiguousarray(array)
