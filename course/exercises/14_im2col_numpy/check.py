"""Against loops over every pixel; and a convolution made of it against facegen's own."""

import numpy as np

from facegen import kernels


def im2col_plain(x, kernel, stride, padding):
    n, h, w, c = x.shape
    out_h, out_w = ((s + 2 * padding - kernel) // stride + 1 for s in (h, w))
    rows = np.zeros((n, out_h, out_w, kernel, kernel, c), x.dtype)
    for i, y, x0, a, b in np.ndindex(rows.shape[:-1]):
        iy, ix = y * stride + a - padding, x0 * stride + b - padding
        if 0 <= iy < h and 0 <= ix < w:
            rows[i, y, x0, a, b] = x[i, iy, ix]
    return rows.reshape(n, out_h, out_w, -1)


def verify(own):
    random = np.random.default_rng(1)
    for kernel, stride, padding in ((1, 1, 0), (3, 1, 1), (3, 2, 1), (5, 2, 0), (4, 3, 2)):
        x = random.standard_normal((2, 9, 7, 3)).astype(np.float32)
        case = f"kernel {kernel}, stride {stride}, padding {padding}"
        found = own.im2col(x, kernel, stride, padding)
        expected = im2col_plain(x, kernel, stride, padding)
        shape = expected.shape
        assert found.shape == shape, f"{case}: expected {shape}, found {found.shape}"
        assert np.array_equal(found, expected), f"{case}: the numbers are others"
        weight = random.standard_normal((4, kernel, kernel, 3)).astype(np.float32)
        y = kernels.conv2d(x, weight, stride=stride, padding=padding)
        # Sums of up to 75 products: float32 is off by some 75 * 2^-24 of them.
        np.testing.assert_allclose(found @ weight.reshape(4, -1).T, y, atol=1e-4)


X = np.random.default_rng(2).standard_normal((1, 32, 32, 16)).astype(np.float32)


def work(own):
    return lambda: own.im2col(X, 3, 1, 1)


def plain():
    return lambda: im2col_plain(X, 3, 1, 1)
