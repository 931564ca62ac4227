"""Convolutions of both kinds, and linear layers."""

from __future__ import annotations

from typing import Any

import numpy as np

from bench.reference.parts import Array, Doubles, both, sides


def conv2d(
    x: Array,
    weight: Array,
    bias: Array | None = None,
    *,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Doubles:
    if groups > 1:
        options = {"stride": stride, "padding": padding, "dilation": dilation}
        return _by_groups(conv2d, x, weight, bias, groups, **options)
    x, weight = x.astype(np.float64), weight.astype(np.float64)
    (sy, sx), (dy, dx) = both(stride), both(dilation)
    out, kh, kw, _ = weight.shape
    x = np.pad(x, ((0, 0), *sides(padding), (0, 0)))
    height = (x.shape[1] - (kh - 1) * dy - 1) // sy + 1
    width = (x.shape[2] - (kw - 1) * dx - 1) // sx + 1
    y = np.zeros((x.shape[0], height, width, out))
    for r in range(kh):
        for s in range(kw):
            rows = np.arange(height)[:, None] * sy + r * dy
            columns = np.arange(width)[None, :] * sx + s * dx
            y += x[:, rows, columns] @ weight[:, r, s].T
    return y if bias is None else y + bias.astype(np.float64)


def conv_transpose2d(
    x: Array,
    weight: Array,
    bias: Array | None = None,
    *,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
) -> Doubles:
    if groups > 1:
        options = {"stride": stride, "padding": padding, "output_padding": output_padding}
        return _by_groups(conv_transpose2d, x, weight, bias, groups, **options)
    x, weight = x.astype(np.float64), weight.astype(np.float64)
    (sy, sx), (ey, ex) = both(stride), both(output_padding)
    (top, bottom), (left, right) = sides(padding)
    n, h, w, _ = x.shape
    out, kh, kw, _ = weight.shape
    full = np.zeros((n, (h - 1) * sy + kh + ey, (w - 1) * sx + kw + ex, out))
    for r in range(kh):
        for s in range(kw):
            rows = np.arange(h)[:, None] * sy + r
            columns = np.arange(w)[None, :] * sx + s
            full[:, rows, columns] += x @ weight[:, r, s].T
    y = full[:, top : full.shape[1] - bottom, left : full.shape[2] - right]
    return y if bias is None else y + bias.astype(np.float64)


def _by_groups(
    convolution: Any, x: Array, weight: Array, bias: Array | None, groups: int, **options: Any
) -> Doubles:
    """Each group's outputs, of its own inputs, one after another."""
    xs, weights = np.split(x, groups, axis=-1), np.split(weight, groups)
    parts = [convolution(a, w, **options) for a, w in zip(xs, weights, strict=True)]
    y: Doubles = np.concatenate(parts, axis=-1)
    return y if bias is None else y + bias.astype(np.float64)


def linear(x: Array, weight: Array, bias: Array | None = None) -> Doubles:
    y = x.astype(np.float64) @ weight.astype(np.float64).T
    return y if bias is None else y + bias.astype(np.float64)
