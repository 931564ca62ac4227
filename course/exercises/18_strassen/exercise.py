"""Exercise 18: seven products of half the size, where eight are the definition."""

from __future__ import annotations

import numpy as np


def strassen(a: np.ndarray, b: np.ndarray, smallest: int = 64) -> np.ndarray:
    """a @ b of two square matrices whose side is a power of 2; `smallest` and below by `@`.

    M1 = (A11 + A22)(B11 + B22)   M5 = (A11 + A12) B22          C11 = M1 + M4 - M5 + M7
    M2 = (A21 + A22) B11          M6 = (A21 - A11)(B11 + B12)   C12 = M3 + M5
    M3 = A11 (B12 - B22)          M7 = (A12 - A22)(B21 + B22)   C21 = M2 + M4
    M4 = A22 (B21 - B11)                                        C22 = M1 - M2 + M3 + M6
    """
    n = len(a)
    if n <= smallest:
        return a @ b
    # YOUR CODE: four quarters of each, seven calls of strassen, and four sums.
    raise NotImplementedError("YOUR CODE")
    # END
