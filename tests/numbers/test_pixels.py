"""Values of a network as pixels: the reference program's expression."""

from __future__ import annotations

import numpy as np
import pytest

from facegen.numbers.pixels import to_uint8


def defined(values: np.ndarray) -> np.ndarray:
    """``(int)((x + 1) / 2 * 255)`` in float32, clamped, NaN as 0."""
    one, two, most = np.float32(1), np.float32(2), np.float32(255)
    scaled = (values.astype(np.float32) + one) / two * most
    return np.clip(np.nan_to_num(scaled, nan=0), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("shape", [(0,), (1,), (7, 3), (3, 64, 64, 3), (200_003,)])
def test_as_defined(shape: tuple[int, ...], threads: int) -> None:
    values = np.random.default_rng(1).uniform(-1.2, 1.2, shape).astype(np.float32)
    np.testing.assert_array_equal(to_uint8(values, threads), defined(values))


def test_the_neighbours_of_every_level() -> None:
    levels = (np.arange(256, dtype=np.float32) / np.float32(255)) * np.float32(2) - np.float32(1)
    below, above = (np.nextafter(levels, np.float32(end)) for end in (-2, 2))
    for values in (levels, below, above):
        np.testing.assert_array_equal(to_uint8(values), defined(values))


def test_what_is_no_value() -> None:
    odd = np.array([np.nan, np.inf, -np.inf, 3e38, -3e38, -0.0, 1, -1], np.float32)
    np.testing.assert_array_equal(to_uint8(odd), [0, 255, 0, 255, 0, 127, 255, 0])


def test_other_arrays() -> None:
    values = np.linspace(-1, 1, 60).reshape(3, 4, 5)
    for given in (values, values.astype(">f4"), values.astype(np.float16), values[:, ::2, ::-1]):
        np.testing.assert_array_equal(to_uint8(given), defined(np.asarray(given)))
    assert to_uint8(0.0).shape == () and to_uint8([1, -1]).tolist() == [255, 0]
    pixels = np.arange(3, dtype=np.uint8)
    assert to_uint8(pixels) is pixels
