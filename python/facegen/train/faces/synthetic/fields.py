"""Smooth fields: what the renderer is made of.

Every array is float32 of shape (image, channel, row, column). A parameter is (n, 1, 1, 1), a colour
(n, 3, 1, 1), a field (n, 1, size, size), a canvas (n, 3, size, size); NumPy broadcasts them.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def smoothstep(low: Any, high: Any, x: Array) -> Array:
    """0 below ``low``, 1 above ``high``, a cubic between; ``low`` > ``high`` falls instead."""
    t = (x - low) * (1.0 / (high - low))
    np.clip(t, 0.0, 1.0, out=t)
    rest = 3.0 - 2.0 * t
    t *= t
    t *= rest
    return t


def bump(x: Any) -> Array:
    """The Gaussian exp(-x^2): 1 at the middle, 0.37 at 1."""
    return np.exp(-(x * x))


def spot(x: Array, y: Array, width: Any, height: Any) -> Array:
    """An elliptic Gaussian around the origin."""
    a, b = x / width, y / height
    return np.exp(-(a * a + b * b))


def mix(a: Any, b: Any, amount: Any) -> Array:
    """``a`` where ``amount`` is 0, ``b`` where it is 1."""
    change = (b - a) * amount
    change += a
    return change


def colour(red: float, green: float, blue: float) -> Array:
    """One colour in linear light, (1, 3, 1, 1)."""
    return np.array([red, green, blue], np.float32).reshape(1, 3, 1, 1)


def palette(*codes: str) -> Array:
    """Colours "#f2d3b1" in linear light, (k, 3)."""
    coded = np.array([list(bytes.fromhex(code[1:])) for code in codes], np.float32) / 255
    linear = np.where(coded <= 0.04045, coded / 12.92, ((coded + 0.055) / 1.055) ** 2.4)
    return linear.astype(np.float32)


@cache
def _spline(points: int, size: int) -> Array:
    """Cubic B-spline weights (size, points) that stretch ``points`` values over ``size``."""
    at = (np.arange(size) + 0.5) / size * (points - 3) + 1.0
    d = np.abs(at[:, None] - np.arange(points)[None, :])
    near = 2 / 3 - d * d + d**3 / 2
    far = np.maximum(2.0 - d, 0.0) ** 3 / 6
    return np.where(d < 1, near, far).astype(np.float32)


def stretch(grid: Array, size: int) -> Array:
    """A coarse grid (n, c, rows, columns), at least 4x4, as a smooth field (n, c, size, size)."""
    rows, columns = grid.shape[-2:]
    return _spline(rows, size) @ grid @ _spline(columns, size).T


def slope(field: Array, step: float) -> tuple[Array, Array]:
    """Central differences along columns and rows; ``step`` is the distance between pixels."""
    dx, dy = np.zeros_like(field), np.zeros_like(field)
    np.subtract(field[..., 2:], field[..., :-2], out=dx[..., 1:-1])
    np.subtract(field[..., 2:, :], field[..., :-2, :], out=dy[..., 1:-1, :])
    scale = 0.5 / step
    return dx * scale, dy * scale
