"""Maps of another size: interpolation, borders, slices."""

from __future__ import annotations

from typing import Any

import numpy as np

from bench.reference.parts import Array, Doubles, both
from facegen.nn import Upsample


def upsample_bilinear2d(x: Array, size: tuple[int, int]) -> Doubles:
    def axis(size_in: int, size_out: int) -> tuple[Array, Array, Array]:
        position = np.clip((np.arange(size_out) + 0.5) * size_in / size_out - 0.5, 0, size_in - 1)
        low = np.floor(position).astype(int)
        return low, np.minimum(low + 1, size_in - 1), position - low

    x = x.astype(np.float64)
    y0, y1, fy = axis(x.shape[1], size[0])
    x0, x1, fx = axis(x.shape[2], size[1])
    fy, fx = fy[:, None, None], fx[:, None]
    top = x[:, y0][:, :, x0] * (1 - fx) + x[:, y0][:, :, x1] * fx
    bottom = x[:, y1][:, :, x0] * (1 - fx) + x[:, y1][:, :, x1] * fx
    return top * (1 - fy) + bottom * fy


def upsample2d(x: Array, layer: Upsample) -> Doubles:
    """As ONNX's Resize defines it: a position of the input, and what lies around it."""
    x = x.astype(np.float64)
    sizes = (0, 0) if layer.size is None else both(layer.size)
    scales = (None, None) if layer.scale is None else both(layer.scale)
    for axis, size, scale in zip((1, 2), sizes, scales, strict=True):
        before = x.shape[axis]
        if scale is not None:
            size = int(np.floor(np.float32(before) * np.float32(scale)))
        ratio = before / size if scale is None else 1 / scale
        default = "asymmetric" if layer.mode == "nearest" else "half_pixel"
        at = np.arange(size, dtype=np.float64)
        match layer.coordinates or default:
            case "half_pixel":
                at = (at + 0.5) * ratio - 0.5
            case "pytorch_half_pixel":
                at = (at + 0.5) * ratio - 0.5 if size > 1 else at
            case "align_corners":
                at = at * (before - 1) / max(size - 1, 1)
            case "asymmetric":
                at = at * ratio
        x = _interpolate(x, axis, at, layer)
    return x


def _interpolate(x: Doubles, axis: int, at: Doubles, layer: Upsample) -> Doubles:
    """Values of `x` at positions on an axis, those outside repeating its ends."""
    last = x.shape[axis] - 1
    a = -0.75
    weights: dict[str, Any] = {
        "linear": lambda d: np.maximum(1 - d, 0),
        "nearest": lambda d: np.where(d < 0.5, 1.0, 0.0),
        "cubic": lambda d: np.where(
            d <= 1,
            (a + 2) * d**3 - (a + 3) * d**2 + 1,
            np.where(d < 2, a * (d**3 - 5 * d**2 + 8 * d - 4), 0.0),
        ),
    }
    weight = weights[layer.mode]
    if layer.mode == "nearest":
        exact = np.round(at, 9)  # 3 * (1 / 3) is 1
        roundings: dict[str, Any] = {
            "floor": np.floor,
            "ceil": np.ceil,
            "round_prefer_floor": lambda v: np.ceil(v - 0.5),
            "round_prefer_ceil": lambda v: np.floor(v + 0.5),
        }
        at = roundings[layer.rounding](exact)
    low = np.floor(at)
    y: Doubles = np.zeros(1)
    for offset in (-1, 0, 1, 2):
        neighbour = np.clip(low + offset, 0, last).astype(int)
        shape = [1, 1, 1, 1]
        shape[axis] = -1
        y = y + np.take(x, neighbour, axis) * weight(np.abs(at - low - offset)).reshape(shape)
    return y
