"""Exercise 16: Winograd's matrices, of any points (Cook 1966, Toom 1963)."""

from __future__ import annotations

from fractions import Fraction

import numpy as np


def poly(roots: list[Fraction]) -> list[Fraction]:
    """Coefficients of prod (x - root), the lowest first.

    >>> poly([Fraction(1), Fraction(2)])
    [Fraction(2, 1), Fraction(-3, 1), Fraction(1, 1)]
    """
    coefficients = [Fraction(1)]
    for root in roots:
        shifted = [Fraction(0), *coefficients]
        scaled = [*(-root * c for c in coefficients), Fraction(0)]
        coefficients = [a + b for a, b in zip(shifted, scaled, strict=True)]
    return coefficients


def winograd_matrices(m: int, r: int, points: list[int]) -> tuple[np.ndarray, ...]:
    """(AT, G, BT) of F(m, r), with which y = AT @ ((G @ g) * (BT @ d)).

    `g` has r taps, `d` n = m + r - 1 inputs, and `y` are the m outputs y[i] = sum_k g[k] d[i + k].
    `points` are n - 1 different numbers; infinity is the last one. In float64:

    - AT (m, n): column j holds the powers 0 ... m - 1 of points[j]; that of infinity is 0 but for
      its last entry, which is 1.
    - G (n, r): row j holds the powers 0 ... r - 1 of points[j], divided by
      N_j = prod over i != j of (points[j] - points[i]); that of infinity is 0 but for its last, 1.
    - BT (n, n): row j holds the coefficients of prod over i != j of (x - points[i]), the lowest
      first; the last row those of the product of all.
    """
    # YOUR CODE: the three matrices, exact in Fractions; np.array(rows, float) at the end.
    n = m + r - 1
    exact = [Fraction(point) for point in points]
    AT = [[p**i for p in exact] + [Fraction(int(i == m - 1))] for i in range(m)]
    G = []
    BT = []
    for j, p in enumerate(exact):
        others = [q for i, q in enumerate(exact) if i != j]
        product = Fraction(1)
        for q in others:
            product *= p - q
        G.append([p**k / product for k in range(r)])
        BT.append([*poly(others), Fraction(0)])
    G.append([Fraction(int(k == r - 1)) for k in range(r)])
    BT.append(poly(exact))
    assert len(G) == len(BT) == n
    return np.array(AT, float), np.array(G, float), np.array(BT, float)
    # END
