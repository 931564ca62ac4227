"""Against @, and the number of products is counted."""

import numpy as np


class Counted(np.ndarray):
    products = 0

    def __matmul__(self, other):
        Counted.products += 1
        return np.matmul(np.asarray(self), np.asarray(other)).view(Counted)


def verify(own):
    random = np.random.default_rng(1)
    for n, smallest, expected in ((8, 8, 1), (8, 4, 7), (16, 4, 49), (64, 8, 343)):
        a, b = random.standard_normal((2, n, n))
        Counted.products = 0
        c = own.strassen(a.view(Counted), b.view(Counted), smallest)
        case = f"n = {n}, smallest = {smallest}"
        assert np.shape(c) == (n, n), f"{case}: expected {(n, n)}, found {np.shape(c)}"
        gap = float(np.abs(np.asarray(c) - a @ b).max())
        # Three levels in float64 multiply the rounding of some 1e-14 by less than 12^3 (Higham).
        assert gap < 1e-10, f"{case}: off by {gap:.3g}"
        found = Counted.products
        assert found == expected, f"{case}: expected {expected} products, found {found}"
