"""Errors of dot products, against NumPy's own sums; formats of few bits, against their bits."""

from __future__ import annotations

import numpy as np
import pytest

from facegen.lab.precision import TRIALS, draw, errors, formats
from facegen.numbers.rounding import BFloat16, FixedPoint, Float16


def test_float32_is_a_running_sum() -> None:
    (found,) = (each for each in errors([7, 40], "positive") if each.name == "float32")
    a, b = draw("positive", 40)
    exact = np.cumsum(a.astype(np.float64) * b, axis=1)
    sums = np.cumsum(a * b, axis=1, dtype=np.float32)
    for k in (7, 40):
        wrong = sums[:, k - 1] / exact[:, k - 1] - 1
        assert found.by_length[k] == pytest.approx(np.sqrt(np.mean(wrong**2)), rel=1e-6)


def test_lengths_are_of_the_same_numbers() -> None:
    long, short = errors([8, 32], "normal"), errors([8], "normal")
    for one, other in zip(long, short, strict=True):
        assert one.by_length[8] == other.by_length[8], one.name


def test_what_rounding_does() -> None:
    """Drawn from a seed: the same everywhere."""
    found = {each.name: each.by_length[2048] for each in errors([2048], "positive")}
    eps = 2.0**-24
    assert found["float32, in pairs"] < 16 * eps < found["bfloat16, float32 sums"]
    # A sum of 512 that is rounded to multiples of 4 loses all that is below 2: it stops there.
    assert found["bfloat16"] > 0.3
    assert found["bfloat16, stochastic"] < 0.1
    assert found["float16"] < found["bfloat16"]
    # 2048 roundings of up to half of 2^-8 each, of random sign, in a sum of about 2048 / 4.
    assert found["fixed <8,8>"] > 0.5  # 128 at most: it saturates


def test_every_format_is_named_once() -> None:
    names = [each.name for each in formats(16, 8)]
    assert len(set(names)) == len(names) and "fixed <16,8>" in names
    assert draw("normal", 5)[0].shape == (TRIALS, 5)
    with pytest.raises(ValueError, match="24 in all"):
        formats(20, 8)


def values() -> np.ndarray:
    """Of every size, with subnormal ones, ties and both zeros."""
    random = np.random.default_rng(5)
    bits = random.integers(0, 2**32, 5000, np.uint32)
    bits[:2000] &= 0xFFFF8000  # of bfloat16, ties are many among them
    floats = bits.view(np.float32)
    small = random.standard_normal(2000).astype(np.float32) * 1e-5
    return np.concatenate([floats[np.abs(floats) < 3e38], small, [0.0, -0.0]]).astype(np.float32)


def test_to_the_nearest_is_as_bits_have_it() -> None:
    x = values()
    with np.errstate(over="ignore"):
        assert np.array_equal(Float16()(x), x.astype(np.float16).astype(np.float32))
    bits = x.view(np.uint32)
    rounded = (bits + np.uint32(0x7FFF) + (bits >> 16 & 1).astype(np.uint32)) & 0xFFFF0000
    assert np.array_equal(BFloat16()(x), rounded.astype(np.uint32).view(np.float32))
    fixed = FixedPoint(whole=3, fraction=2)(np.array([0.3, 0.375, -0.125, 9, -9], np.float32))
    assert fixed.tolist() == [0.25, 0.5, 0, 3.75, -4]


def test_stochastic_rounding_is_right_on_average() -> None:
    x = np.full(40_000, 1 + 2.0**-7 / 4, np.float32)  # a quarter of the way to the next bfloat16
    up = BFloat16(stochastic=True)(x, seed=1) > 1
    # The mean of so many draws of 1/4: five standard deviations.
    assert abs(up.mean() - 0.25) < 5 * np.sqrt(0.25 * 0.75 / x.size)
    again, other = (BFloat16(stochastic=True)(x, seed=1, step=step) > 1 for step in (0, 1))
    assert np.array_equal(up, again) and not np.array_equal(up, other)
    held = np.float32([1.5, -3.0, 0.0])
    assert np.array_equal(BFloat16(stochastic=True)(held), held)
