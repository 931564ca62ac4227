"""Exercise 22: the two gradients of a convolution."""

from __future__ import annotations

import numpy as np


def input_gradient(dy: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Of y = conv(x, weight) without padding, stride 1: dL/dx (n, h, w, c) of dL/dy.

    dy is (n, h - k + 1, w - k + 1, out), weight (out, k, k, c). Each y[i, j, o] had
    x[i + a, j + b, c] * weight[o, a, b, c] in it.
    """
    # YOUR CODE: this function, and the one below; loops over taps, and @ for channels.
    n, out_h, out_w, _ = dy.shape
    _, k, _, c = weight.shape
    dx = np.zeros((n, out_h + k - 1, out_w + k - 1, c), dy.dtype)
    for a in range(k):
        for b in range(k):
            dx[:, a : a + out_h, b : b + out_w] += dy @ weight[:, a, b]
    return dx


def weight_gradient(x: np.ndarray, dy: np.ndarray) -> np.ndarray:
    """dL/dweight (out, k, k, c): summed over all pixels of all images."""
    _, h, _, _ = x.shape
    _, out_h, out_w, _ = dy.shape
    k = h - out_h + 1
    taps = [
        [np.einsum("nijo,nijc->oc", dy, x[:, a : a + out_h, b : b + out_w]) for b in range(k)]
        for a in range(k)
    ]
    return np.transpose(np.array(taps), (2, 0, 1, 3))


# END
