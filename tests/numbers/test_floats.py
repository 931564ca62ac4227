from __future__ import annotations

import warnings

import numpy as np
import pytest

from facegen.numbers.floats import as_float32


@pytest.mark.parametrize("dtype", ["<f2", ">f4", "<f8", ">i2", "|u1"])
def test_any_type_becomes_float32(dtype: str) -> None:
    values = np.arange(6).reshape(2, 3).astype(dtype)
    found = as_float32(np.asfortranarray(values))
    assert found.dtype == np.float32 and found.flags.c_contiguous
    np.testing.assert_array_equal(found, [[0, 1, 2], [3, 4, 5]])


def test_what_does_not_fit_is_no_warning() -> None:
    signalling = np.array([0x7FF0_0000_0000_0001], np.uint64).view(np.float64)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = as_float32(np.array([1e39, -1e39, *signalling]))
        assert np.isinf(as_float32([1e5], np.float16)).all()
    np.testing.assert_array_equal(found, [np.inf, -np.inf, np.nan])


def test_float32_is_not_copied() -> None:
    values = np.ones((2, 3), np.float32)
    assert np.shares_memory(as_float32(values), values)
