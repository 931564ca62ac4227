"""Exercise 15: a transposed convolution as an ordinary one, the textbook's way."""

from __future__ import annotations

import numpy as np


def spread(x: np.ndarray, kernel: int, stride: int, padding: int) -> np.ndarray:
    """(n, h, w, c) -> the map of which a convolution of stride 1 makes the transposed one.

    stride - 1 rows and columns of zeros between the pixels, and kernel - 1 - padding around.
    """
    # YOUR CODE: this function, and the one below.
    raise NotImplementedError("YOUR CODE")


def turned(weight: np.ndarray) -> np.ndarray:
    """The taps (out, kernel, kernel, in) of that convolution."""
    raise NotImplementedError("YOUR CODE")


# END
