"""Two layers against one, by facegen's kernels."""

import numpy as np

from facegen import kernels


def verify(own):
    random = np.random.default_rng(1)
    x = random.standard_normal((2, 6, 5, 3)).astype(np.float32)
    weight = random.standard_normal((4, 3, 3, 3)).astype(np.float32)
    bias, gamma, beta, mean = random.standard_normal((4, 4)).astype(np.float32)
    var = random.uniform(0.1, 2.0, 4).astype(np.float32)
    y = kernels.conv2d(x, weight, bias, padding=1).astype(np.float64)
    expected = gamma / np.sqrt(var + np.float64(1e-5)) * (y - mean) + beta
    folded, summand = own.fold(weight, bias, gamma, beta, mean, var, 1e-5)
    assert folded.shape == weight.shape, f"weight: expected {weight.shape}, found {folded.shape}"
    assert summand.shape == bias.shape, f"bias: expected {bias.shape}, found {summand.shape}"
    found = kernels.conv2d(x, folded.astype(np.float32), summand.astype(np.float32), padding=1)
    # Sums of 27 products and a factor of up to 9: errors of some 1e-5.
    gap = float(np.abs(found - expected).max())
    assert gap < 1e-3, f"off by {gap:.3g}"
