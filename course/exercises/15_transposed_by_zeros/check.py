"""A convolution of what `spread` makes, against facegen's transposed convolution."""

import numpy as np

from facegen import kernels


def verify(own):
    random = np.random.default_rng(1)
    cases = ((2, 2, 0), (4, 2, 1), (5, 2, 1), (3, 1, 1), (5, 3, 2), (3, 3, 2))
    for kernel, stride, padding in cases:
        case = f"kernel {kernel}, stride {stride}, padding {padding}"
        x = random.standard_normal((2, 5, 4, 3)).astype(np.float32)
        weight = random.standard_normal((6, kernel, kernel, 3)).astype(np.float32)
        wide = own.spread(x, kernel, stride, padding)
        sides = [(s - 1) * stride + 2 * (kernel - padding) - 1 for s in (5, 4)]
        assert wide.shape == (2, *sides, 3), (
            f"{case}: spread made {wide.shape}, expected {(2, *sides, 3)}"
        )
        turned = np.ascontiguousarray(own.turned(weight))
        found = kernels.conv2d(np.ascontiguousarray(wide), turned)
        expected = kernels.conv_transpose2d(x, weight, stride=stride, padding=padding)
        # Sums of up to 75 products: float32 is off by some 75 * 2^-24 of them.
        gap = float(np.abs(found - expected).max())
        assert gap < 1e-4, f"{case}: off by {gap:.3g}"
