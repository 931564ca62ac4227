"""The largest, or the mean, of windows."""

from __future__ import annotations

from typing import Any

import numpy as np

from bench.reference.parts import Array, Doubles, both, sides


def _window_starts(
    size: int, kernel: int, stride: int, front: int, back: int, ceil_mode: bool
) -> list[int]:
    """First positions of all windows of a pool, in the input's coordinates."""
    result = [-front]
    while True:
        start = result[-1] + stride
        inside = start + kernel <= size + back
        # PyTorch's ceil mode: a last, partial window that starts inside or in the left padding
        partial = ceil_mode and start < size and result[-1] + kernel < size + back
        if not (inside or partial):
            return result
        result.append(start)


def avg_pool2d(
    x: Array,
    kernel: Any,
    *,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Doubles:
    (kh, kw), (sy, sx) = both(kernel), both(kernel if stride is None else stride)
    (top, bottom), (left, right) = sides(padding)
    _, h, w, _ = x.shape
    ys = _window_starts(h, kh, sy, top, bottom, ceil_mode)
    xs = _window_starts(w, kw, sx, left, right, ceil_mode)
    y = np.empty((x.shape[0], len(ys), len(xs), x.shape[3]))
    for i, y0 in enumerate(ys):
        for j, x0 in enumerate(xs):
            pixels = x[:, max(y0, 0) : y0 + kh, max(x0, 0) : x0 + kw].astype(np.float64)
            count = pixels.shape[1] * pixels.shape[2]
            if count_include_pad:
                count = (min(y0 + kh, h + bottom) - y0) * (min(x0 + kw, w + right) - x0)
            y[:, i, j] = pixels.sum(axis=(1, 2)) / count
    return y


def max_pool2d(
    x: Array, kernel: Any, *, stride: Any = None, padding: Any = 0, ceil_mode: bool = False
) -> Array:
    (kh, kw), (sy, sx) = both(kernel), both(kernel if stride is None else stride)
    (top, bottom), (left, right) = sides(padding)

    ys = _window_starts(x.shape[1], kh, sy, top, bottom, ceil_mode)
    xs = _window_starts(x.shape[2], kw, sx, left, right, ceil_mode)
    y = np.empty((x.shape[0], len(ys), len(xs), x.shape[3]))
    for i, y0 in enumerate(ys):
        for j, x0 in enumerate(xs):
            window = x[:, max(y0, 0) : y0 + kh, max(x0, 0) : x0 + kw]
            y[:, i, j] = window.max(axis=(1, 2))
    return y


def global_avg_pool2d(x: Array) -> Doubles:
    return x.astype(np.float64).mean(axis=(1, 2), keepdims=True)
