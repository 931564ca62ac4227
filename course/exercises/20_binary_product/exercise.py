"""Exercise 20: products of +1 and -1, 8 at a time in a byte."""

from __future__ import annotations

import numpy as np

ONES = np.array([bin(i).count("1") for i in range(256)], np.uint8)  # set bits of a byte


def pack(signs: np.ndarray) -> np.ndarray:
    """(..., n) of +1 and -1, n a multiple of 8 -> (..., n / 8) bytes: a bit is 1 for +1."""
    # YOUR CODE: this function, and the one below.
    raise NotImplementedError("YOUR CODE")


def binary_matmul(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a (m, n / 8), b (k, n / 8), both packed -> (m, k) int32: the sums of their n products.

    Two signs make +1 where their bits are equal: XOR finds those that are not.
    """
    raise NotImplementedError("YOUR CODE")


# END
