"""Against a sum over taps, in space."""

import numpy as np


def conv_plain(x, weight):
    out, k, _, c = weight.shape
    h, w = x.shape[0] - k + 1, x.shape[1] - k + 1
    y = np.zeros((h, w, out), np.float32)
    for a in range(k):
        for b in range(k):
            y += x[a : a + h, b : b + w] @ weight[:, a, b].T
    return y


def verify(own):
    random = np.random.default_rng(1)
    for h, w, c, k, out in ((8, 9, 3, 3, 2), (16, 13, 2, 7, 5), (31, 30, 4, 11, 3)):
        x = random.standard_normal((h, w, c)).astype(np.float32)
        weight = random.standard_normal((out, k, k, c)).astype(np.float32)
        found, expected = own.conv_fft(x, weight), conv_plain(x, weight)
        case = f"{h}x{w}x{c}, kernel {k}"
        shape = expected.shape
        assert found.shape == shape, f"{case}: expected {shape}, found {found.shape}"
        # 484 products of about 1 each, in float32: errors of some 1e-5.
        gap = float(np.abs(found - expected).max())
        assert gap < 1e-3, f"{case}: off by {gap:.3g}"


X = np.random.default_rng(2).standard_normal((96, 96, 4)).astype(np.float32)
WEIGHT = np.random.default_rng(3).standard_normal((4, 25, 25, 4)).astype(np.float32)


def work(own):
    return lambda: own.conv_fft(X, WEIGHT)


def plain():
    return lambda: conv_plain(X, WEIGHT)
