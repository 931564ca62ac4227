"""Multiples, neighbours, limits, and the mean."""

import numpy as np


def verify(own):
    for il, fl in ((4, 4), (2, 6), (8, 0)):
        case, step = f"<{il}, {fl}>", 2.0**-fl
        x = np.random.default_rng(1).uniform(-(2.0 ** (il - 1)), 2.0 ** (il - 1) - step, 10_000)
        y = own.round_stochastic(x, il, fl, np.random.default_rng(2))
        assert y.shape == x.shape, f"{case}: expected {x.shape}, found {y.shape}"
        assert np.array_equal(y / step, np.round(y / step)), f"{case}: not multiples of 2**-{fl}"
        assert np.all(np.abs(y - x) < step), f"{case}: a number moved by a whole step"
        exact = np.arange(-3, 4) * step
        found = own.round_stochastic(exact, il, fl, np.random.default_rng(3))
        assert np.array_equal(found, exact), f"{case}: multiples must stay as they are"
        most = 2.0 ** (il - 1) - step
        found = own.round_stochastic(np.array([1e9, -1e9]), il, fl, np.random.default_rng(4))
        limits = [most, -(2.0 ** (il - 1))]
        assert np.array_equal(found, limits), f"{case}: expected {limits}, found {found.tolist()}"
        # A mean of 100,000 is off by step * sqrt(0.3 * 0.7 / 100,000) = 0.0015 steps; 6 of them.
        many = np.full(100_000, 0.3 * step)
        mean = own.round_stochastic(many, il, fl, np.random.default_rng(5)).mean() / step
        assert abs(mean - 0.3) < 0.009, f"{case}: 0.3 steps become {mean:.3f} on average"
