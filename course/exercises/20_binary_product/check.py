"""Against the product in integers."""

import numpy as np


def verify(own):
    random = np.random.default_rng(1)
    for m, k, n in ((1, 1, 8), (3, 5, 64), (7, 4, 256)):
        a, b = (random.choice(np.array([-1, 1]), (rows, n)) for rows in (m, k))
        packed = own.pack(a)
        case = f"{m}x{k}x{n}"
        assert packed.dtype == np.uint8 and packed.shape == (m, n // 8), (
            f"{case}: expected {(m, n // 8)} bytes, found {packed.shape} of {packed.dtype}"
        )
        assert np.array_equal(np.unpackbits(packed, axis=-1), a > 0), f"{case}: the bits are others"
        found, expected = own.binary_matmul(packed, own.pack(b)), a @ b.T
        assert np.array_equal(found, expected), (
            f"{case}: expected {expected[0, 0]} first, found {np.asarray(found).flat[0]}"
        )
