"""Exercise 14: im2col in NumPy, without a loop over pixels."""

from __future__ import annotations

import numpy as np


def im2col(x: np.ndarray, kernel: int, stride: int, padding: int) -> np.ndarray:
    """(n, h, w, c) -> (n, out_h, out_w, kernel * kernel * c): what each output reads.

    The last axis goes over kernel rows, then kernel columns, then channels. Padding is zeros.
    """
    # YOUR CODE: np.pad, then a slice for each of the kernel * kernel taps.
    n, h, w, c = x.shape
    out_h = (h + 2 * padding - kernel) // stride + 1
    out_w = (w + 2 * padding - kernel) // stride + 1
    padded = np.pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    columns = np.empty((n, out_h, out_w, kernel * kernel, c), x.dtype)
    for tap in range(kernel * kernel):
        y, x0 = divmod(tap, kernel)
        rows = slice(y, y + stride * (out_h - 1) + 1, stride)
        cols = slice(x0, x0 + stride * (out_w - 1) + 1, stride)
        columns[..., tap, :] = padded[:, rows, cols]
    return columns.reshape(n, out_h, out_w, -1)
    # END
