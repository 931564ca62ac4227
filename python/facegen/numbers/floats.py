"""Real numbers of any type as float32, and whether they are finite."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from facegen.errors import FormatError


def as_float32(values: ArrayLike, dtype: Any = np.float32) -> NDArray[Any]:
    """C-contiguous float32 (or `dtype`), of the same memory where it is that already.

    What does not fit becomes infinite, and whoever takes numbers from others refuses it with NaN:
    so there is no warning of it, nor of a NaN that signals.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        return np.ascontiguousarray(values, dtype)


def finite_rows(values: NDArray[Any]) -> NDArray[np.bool_]:
    """(n,): whether each row holds no NaN and no infinity."""
    finite: NDArray[np.bool_] = np.isfinite(values.reshape(len(values), -1)).all(axis=1)
    return finite


def check_result(what: str, values: NDArray[Any]) -> None:
    """Refuse NaN and infinity in what a network made, of which nothing can be made.

    Raises
    ------
    FormatError
        There is one: says of what, and where.
    """
    finite = np.isfinite(values)
    if not finite.all():
        where = np.unravel_index(int(np.argmin(finite)), values.shape)
        place = ", ".join(map(str, where))
        raise FormatError(f"{what} is not finite: {values[where]} at [{place}]")
