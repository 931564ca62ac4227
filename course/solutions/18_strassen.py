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
    h = n // 2
    a11, a12, a21, a22 = a[:h, :h], a[:h, h:], a[h:, :h], a[h:, h:]
    b11, b12, b21, b22 = b[:h, :h], b[:h, h:], b[h:, :h], b[h:, h:]
    m1 = strassen(a11 + a22, b11 + b22, smallest)
    m2 = strassen(a21 + a22, b11, smallest)
    m3 = strassen(a11, b12 - b22, smallest)
    m4 = strassen(a22, b21 - b11, smallest)
    m5 = strassen(a11 + a12, b22, smallest)
    m6 = strassen(a21 - a11, b11 + b12, smallest)
    m7 = strassen(a12 - a22, b21 + b22, smallest)
    return np.block([[m1 + m4 - m5 + m7, m3 + m5], [m2 + m4, m1 - m2 + m3 + m6]])
    # END
