"""How far float32 results may be from the float64 definition: the one place that says so.

Bounds follow from the rounding unit and the length of the reduction. Errors of a sum of K products
grow like sqrt(K) times the unit (Higham & Mary 2019, with probability next to 1), relative to the
sum of the products' magnitudes; every further rounding adds one unit of the magnitude at hand.
"""

from __future__ import annotations

import numpy as np

from facegen import _native

EPS = float(np.finfo(np.float32).eps)  # twice the rounding unit

# AMX multiplies fixed-point numbers: 8 EPS of the product of the largest magnitudes of both
# factors, of random sign (tests/native/tolerance.h). That product is known here by the magnitudes
# of the sums alone, of which the largest is at least half of it.
FIXED_POINT_PRODUCT = {"amx": 16 * EPS}

# Of a whole network, the same relative to its values: 2^-22 of the product of both factors' scales,
# which are at most 16 times the product of typical ones. bfloat16: units of 2^-8 of both factors.
SPLIT_PRODUCT = {"amx": 2.0**-18, "amx_bfloat16": 2.0**-7 + 2.0**-16}

# GPUs, by what tests/engines.py calls them. "float32" multiplies x = hi + lo in bfloat16 and leaves
# out lo * lo, at most 2^-16 of a product, and what hi + lo miss of either factor, at most 2^-17
# each: 2^-15. Tensor cores add with truncation, at most 2^-23 of the running sum at each addition.
# "mma" has up to 512 / 16 in a row: 2^-18. "auto" up to 3 * 2048 / 16, of a running sum that is
# half the whole on average: 2^-15.
# float16 and tf32 round both factors to 11 bits: 2^-11 of a product each.
SPLIT_PRODUCT |= {
    "cuda auto float32": 2.0**-15 + 2.0**-15,
    "cuda mma float32": 2.0**-15 + 2.0**-18,
    "cuda auto tf32": 2.0**-10 + 2.0**-17,
    "cuda auto float16": 2.0**-10 + 2.0**-17,
}
# Below 2^-14, float16 rounds to multiples of 2^-24; the other factor is below 8 in all tests.
SUBNORMAL_PRODUCT = {"cuda auto float16": 2 * 8 * 2.0**-25}

DEFAULT_ISA = _native.choose_isa()


def gemm(magnitude: np.ndarray, length: int, isa: str = DEFAULT_ISA) -> np.ndarray:
    """Of sums of `length` products plus a bias; `magnitude` is the same sum of absolute values."""
    relative = EPS * (np.sqrt(length) + 2) + SPLIT_PRODUCT.get(isa, 0)
    largest = np.max(magnitude, initial=0) if isa in FIXED_POINT_PRODUCT else 0
    fixed_point = FIXED_POINT_PRODUCT.get(isa, 0) * np.sqrt(length) * largest
    return relative * magnitude + fixed_point + SUBNORMAL_PRODUCT.get(isa, 0) * length


# What Winograd's transforms may make of a sum of products' magnitudes, for values of about equal
# size: up to 8 times on each of two axes (tests/native/tolerance.h).
WINOGRAD_MAGNITUDE = 8**2


def winograd(magnitude: np.ndarray, length: int) -> np.ndarray:
    """As `gemm`, of Winograd's convolution; `magnitude` is (n, h, w, c).

    All inputs of a tile take part, so that the largest magnitude of the map counts, not that of the
    taps of one output.
    """
    largest = magnitude.max(axis=(1, 2), keepdims=True)
    return gemm(WINOGRAD_MAGNITUDE * np.broadcast_to(largest, magnitude.shape), length, "portable")


def roundings(count: int, magnitude: np.ndarray | float) -> np.ndarray | float:
    """Of `count` operations on values of up to `magnitude`."""
    return EPS * count * magnitude


# Of exp and tanh, in units of EPS: what csrc/cpu/isa/math.h states (2e-7), rounding included.
EXP = TANH = 2


def assert_within(got: np.ndarray, want: np.ndarray, bound: np.ndarray | float) -> None:
    """Every element of `got` is finite and within `bound` of `want`."""
    assert got.shape == want.shape
    assert np.isfinite(got).all(), "a result is not finite (was it written?)"
    # The reference's own rounding, and results of 0 that are exact.
    excess = np.abs(got.astype(np.float64) - want) - bound - 1e-30
    if excess.size and excess.max() > 0:
        where = np.unravel_index(excess.argmax(), excess.shape)
        allowed = np.broadcast_to(bound, want.shape)[where]
        raise AssertionError(
            f"at {tuple(map(int, where))}: {got[where]}, expected {want[where]} +- {allowed:.3g}"
        )
