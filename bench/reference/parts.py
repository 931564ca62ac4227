"""What the definitions share: types, and what windows are stated by."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Doubles = NDArray[np.float64]
Sides = tuple[tuple[int, int], tuple[int, int]]


def both(value: Any) -> tuple[Any, Any]:
    """An int or a pair as (vertical, horizontal)."""
    return (value, value) if isinstance(value, int) else (value[0], value[1])


def sides(padding: Any) -> Sides:
    """Any padding as ((top, bottom), (left, right))."""
    vertical, horizontal = both(padding)
    return both(vertical), both(horizontal)
