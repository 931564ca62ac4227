"""L*a*b* against its definition in float64 and against scikit-image."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facegen.colour.lab import lab_to_rgb, rgb_to_lab, rgb_to_lightness

WHITE = np.array([0.95047, 1.0, 1.08883])
XYZ = np.array(
    [[0.412453, 0.357580, 0.180423], [0.212671, 0.715160, 0.072169], [0.019334, 0.119193, 0.950227]]
)


def naive_lab(rgb: np.ndarray) -> np.ndarray:
    """From sRGB of 0 to 1, in float64."""
    linear = np.where(rgb > 0.04045, ((rgb + 0.055) / 1.055) ** 2.4, rgb / 12.92)
    t = linear @ XYZ.T / WHITE
    x, y, z = np.moveaxis(np.where(t > 0.008856, np.cbrt(t), 7.787 * t + 16 / 116), -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], -1)


def naive_rgb(lab: np.ndarray) -> np.ndarray:
    """To sRGB of 0 to 1, in float64."""
    y = (lab[..., 0] + 16) / 116
    f = np.stack([y + lab[..., 1] / 500, y, np.maximum(y - lab[..., 2] / 200, 0)], -1)
    t = np.where(f > 0.2068966, f**3, (f - 16 / 116) / 7.787)
    linear = t * WHITE @ np.linalg.inv(XYZ).T
    curve = 1.055 * np.maximum(linear, 0) ** (1 / 2.4) - 0.055
    return np.clip(np.where(linear > 0.0031308, curve, 12.92 * linear), 0, 1)


@pytest.fixture(scope="module")
def every_seventh() -> np.ndarray:
    """Colours all over the cube, its edges and near-blacks included: (n, 3) uint8."""
    levels = np.array([*range(8), *range(10, 256, 7)], np.uint8)
    return np.stack(np.meshgrid(levels, levels, levels), -1).reshape(-1, 3)


def test_bytes_to_lab(every_seventh: np.ndarray) -> None:
    lab = rgb_to_lab(every_seventh)
    assert lab.dtype == np.float32 and lab.shape == every_seventh.shape
    # Computed in double, so that the result's own rounding is all there is: |a| < 128.
    np.testing.assert_allclose(lab, naive_lab(every_seventh / 255), rtol=0, atol=2e-5)
    np.testing.assert_array_equal(rgb_to_lightness(every_seventh), lab[:, 0])


def test_floats_and_words_to_lab(every_seventh: np.ndarray) -> None:
    """A float's own rounding moves a cube root by at most 1e-7 and a by 500 times that."""
    expected = naive_lab(every_seventh / 255)
    for rgb in (every_seventh / 255, every_seventh.astype(np.uint16) * 257):
        np.testing.assert_allclose(rgb_to_lab(rgb), expected, rtol=0, atol=1e-4)


def test_lab_to_rgb(every_seventh: np.ndarray) -> None:
    lab = rgb_to_lab(every_seventh)
    np.testing.assert_array_equal(lab_to_rgb(lab), every_seventh)
    np.testing.assert_array_equal(lab_to_rgb(lab, np.uint16), every_seventh.astype(np.uint16) * 257)


def test_lab_to_rgb_is_clamped_where_srgb_ends() -> None:
    axis = np.linspace(-120, 120, 25)
    lab = np.stack(np.meshgrid(np.linspace(0, 100, 21), axis, axis), -1).astype(np.float32)
    rgb = lab_to_rgb(lab, np.float32)
    np.testing.assert_allclose(rgb, naive_rgb(lab.astype(np.float64)), rtol=0, atol=1e-5)
    exact = naive_rgb(lab.astype(np.float64)) * 255
    assert np.abs(lab_to_rgb(lab) - exact).max() < 0.5 + 1e-2  # the nearest byte


def test_as_scikit_image(every_seventh: np.ndarray) -> None:
    color = pytest.importorskip("skimage.color")
    expected = color.rgb2lab(every_seventh)
    np.testing.assert_allclose(rgb_to_lab(every_seventh), expected, rtol=0, atol=1e-4)
    np.testing.assert_allclose(
        lab_to_rgb(expected, np.float32), color.lab2rgb(expected), rtol=0, atol=1e-4
    )


@given(st.integers(0, 1000), st.integers(1, 5), st.integers(0, 2**32 - 1))
def test_threads_and_blocks_change_nothing(pixels: int, threads: int, seed: int) -> None:
    rgb = np.random.default_rng(seed).integers(0, 256, (pixels, 3), np.uint8)
    lab = rgb_to_lab(rgb, threads)
    one_by_one = [rgb_to_lab(pixel, 1) for pixel in rgb[:: max(1, pixels // 7)]]
    if pixels:
        np.testing.assert_array_equal(lab[:: max(1, pixels // 7)], one_by_one)
    np.testing.assert_array_equal(lab_to_rgb(lab, threads=threads), rgb)


def test_many_pixels_on_several_threads() -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (250, 301, 3), np.uint8)
    lab = rgb_to_lab(rgb, 3)
    np.testing.assert_array_equal(lab, rgb_to_lab(rgb, 1))
    np.testing.assert_array_equal(lab_to_rgb(lab, threads=3), rgb)


def test_numbers_that_are_no_colours() -> None:
    assert np.isnan(rgb_to_lab([np.nan, 0.5, 0.5])).any()
    np.testing.assert_array_equal(lab_to_rgb([np.nan, 0, 0]), [0, 0, 0])
    np.testing.assert_array_equal(lab_to_rgb([1e6, 0, 0]), [255, 255, 255])


@pytest.mark.parametrize("shape", [(), (4,), (3, 4), (0,)])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"shape \(\.\.\., 3\)"):
        rgb_to_lab(np.zeros(shape))
    with pytest.raises(ValueError, match=r"shape \(\.\.\., 3\)"):
        lab_to_rgb(np.zeros(shape))


def test_other_types_are_refused() -> None:
    with pytest.raises(ValueError, match="not int64"):
        rgb_to_lab([1, 2, 3])
    with pytest.raises(ValueError, match="not int32"):
        lab_to_rgb(np.zeros((1, 3)), np.int32)
