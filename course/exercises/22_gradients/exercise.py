"""Exercise 22: the two gradients of a convolution."""

from __future__ import annotations

import numpy as np


def input_gradient(dy: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Of y = conv(x, weight) without padding, stride 1: dL/dx (n, h, w, c) of dL/dy.

    dy is (n, h - k + 1, w - k + 1, out), weight (out, k, k, c). Each y[i, j, o] had
    x[i + a, j + b, c] * weight[o, a, b, c] in it.
    """
    # YOUR CODE: this function, and the one below; loops over taps, and @ for channels.
    raise NotImplementedError("YOUR CODE")


def weight_gradient(x: np.ndarray, dy: np.ndarray) -> np.ndarray:
    """dL/dweight (out, k, k, c): summed over all pixels of all images."""
    raise NotImplementedError("YOUR CODE")


# END
