"""`format_rows` against Python's and the C library's %.4f."""

from __future__ import annotations

import ctypes
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from facegen._native import format_rows

_libc = ctypes.CDLL(None)
_buffer = ctypes.create_string_buffer(64)


def c_format(value: float) -> bytes:
    _libc.snprintf(_buffer, ctypes.c_size_t(64), b"%.4f", ctypes.c_double(value))
    return _buffer.value


def text_of(values: np.ndarray, threads: int = 1) -> list[bytes]:
    text = format_rows(values.reshape(1, -1), threads)
    assert text.endswith(b" \n")
    return text[:-2].split(b" ")


@given(hnp.arrays(np.uint32, st.integers(1, 200), elements=st.integers(0, 2**32 - 1)))
def test_any_bits(bits: np.ndarray) -> None:
    values = bits.view(np.float32)
    text = text_of(values)
    assert text == [c_format(value) for value in values]
    finite = np.isfinite(values)
    assert [t for t, ok in zip(text, finite, strict=True) if ok] == [
        b"%.4f" % value for value in values[finite]
    ]


@given(hnp.arrays(np.float32, 50, elements=st.floats(-1, 1, width=32)))
def test_unit_range(values: np.ndarray) -> None:
    assert text_of(values) == [b"%.4f" % value for value in values]


@given(st.integers(-(2**24), 2**24), st.integers(1, 6))
def test_around_ties(k: int, shift: int) -> None:
    """Odd multiples of 1/32 have their fifth decimal at exactly 5; also one ulp to either side."""
    value = np.float32(k / 2**shift)
    around = np.array([np.nextafter(value, np.float32(s)) for s in (-np.inf, value, np.inf)])
    assert text_of(around.astype(np.float32)) == [b"%.4f" % v for v in around]


def test_special_values() -> None:
    names = {
        math.nan: b"nan",
        math.inf: b"inf",
        -math.inf: b"-inf",
        0.0: b"0.0000",
        -1e-9: b"-0.0000",
        2.0**-149: b"0.0000",
        3.4028234663852886e38: b"340282346638528859811704183484516925440.0000",
    }
    assert text_of(np.array(list(names), np.float32)) == list(names.values())
    assert text_of(np.array([-0.0], np.float32)) == [b"-0.0000"]
    assert text_of(-np.array([math.nan], np.float32)) == [b"-nan"]


@pytest.mark.parametrize("threads", [1, 2, 7])
@pytest.mark.parametrize("shape", [(0, 5), (3, 0), (1, 1), (100, 129), (5000, 3), (3, 12288)])
def test_rows(shape: tuple[int, int], threads: int) -> None:
    values = np.random.default_rng(0).normal(0, 5, shape).astype(np.float32)
    expected = "".join("".join(f"{v:.4f} " for v in row) + "\n" for row in values.tolist())
    assert format_rows(values, threads) == expected.encode()


def test_wrong_arrays() -> None:
    good = np.zeros((4, 4), np.float32)
    with pytest.raises(ValueError, match="must be 2D .*, not 1D"):
        format_rows(good[0])
    with pytest.raises(TypeError):
        format_rows(good.astype(np.float64))
    with pytest.raises(TypeError):
        format_rows(good[:, ::2])
    with pytest.raises(ValueError, match="threads must be at least 1, not 0"):
        format_rows(good, 0)


@pytest.mark.slow
def test_many_millions() -> None:
    rng = np.random.default_rng(1)
    for _ in range(10):
        values = rng.integers(0, 2**32, 1_000_000, dtype=np.uint32).view(np.float32)
        values = values[np.isfinite(values)]
        expected = (b"%.4f " * values.size) % tuple(values.tolist())
        assert format_rows(values[None], 2) == expected + b"\n"
        values = np.tanh(rng.normal(0, 1, 1_000_000)).astype(np.float32)
        expected = (b"%.4f " * values.size) % tuple(values.tolist())
        assert format_rows(values[None], 2) == expected + b"\n"
