"""Exercise 14: im2col in NumPy, without a loop over pixels."""

from __future__ import annotations

import numpy as np


def im2col(x: np.ndarray, kernel: int, stride: int, padding: int) -> np.ndarray:
    """(n, h, w, c) -> (n, out_h, out_w, kernel * kernel * c): what each output reads.

    The last axis goes over kernel rows, then kernel columns, then channels. Padding is zeros.
    """
    # YOUR CODE: np.pad, then a slice for each of the kernel * kernel taps.
    raise NotImplementedError("YOUR CODE")
    # END
