"""Exercise 17: a convolution with a large kernel, through frequencies."""

from __future__ import annotations

import numpy as np


def conv_fft(x: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """(h, w, c) and (out, k, k, c) -> (h - k + 1, w - k + 1, out): a convolution without padding.

    y[i, j, o] = sum over a, b, c of x[i + a, j + b, c] * weight[o, a, b, c], as networks have it.
    """
    # YOUR CODE: np.fft.rfft2 of both, a product summed over channels, and np.fft.irfft2.
    raise NotImplementedError("YOUR CODE")
    # END
