"""y = AT ((G g) * (BT d)) against the definition; and F(2, 3) as it is known."""

import numpy as np


def verify(own):
    random = np.random.default_rng(1)
    for m, r, points in (
        (2, 3, [0, 1, -1]),
        (4, 3, [0, 1, -1, 2, -2]),
        (2, 5, [0, 1, -1, 2, -2]),
        (3, 2, [0, 1, 5]),
    ):
        case = f"F({m}, {r}) at {points}"
        n = m + r - 1
        AT, G, BT = own.winograd_matrices(m, r, points)
        shapes = [(m, n), (n, r), (n, n)]
        for name, matrix, shape in zip(("AT", "G", "BT"), (AT, G, BT), shapes, strict=True):
            found = np.shape(matrix)
            assert found == shape, f"{case}: {name} is {found}, expected {shape}"
        for _ in range(5):
            g, d = random.standard_normal(r), random.standard_normal(n)
            expected = np.array([g @ d[i : i + r] for i in range(m)])
            gap = float(np.abs(AT @ ((G @ g) * (BT @ d)) - expected).max())
            # Float64, and numbers up to 2^5 in the matrices: 1e-10 is far above rounding.
            assert gap < 1e-10, f"{case}: outputs are off by {gap:.3g}"
