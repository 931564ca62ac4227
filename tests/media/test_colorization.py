from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from PIL import Image

from facegen import FormatError
from facegen.colour.lab import lab_to_rgb, rgb_to_lab, rgb_to_lightness
from facegen.media.colorization import SIDE, network_lightness, with_colours


def picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Soft patches of colour, (height, width, 3) uint8."""
    small = np.random.default_rng(seed).integers(0, 256, (4, 5, 3), np.uint8)
    return np.asarray(Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC))


def colours(seed: int = 0) -> np.ndarray:
    """(2, 256, 256) of a and b."""
    return np.random.default_rng(seed).uniform(-50, 50, (2, SIDE, SIDE)).astype(np.float32)


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (5000, 1), (256, 256), (300, 200)])
def test_lightness_is_that_of_pillows_copy(size: tuple[int, int]) -> None:
    rgb = picture(*size)
    small = Image.fromarray(rgb).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    lightness = network_lightness(rgb)
    assert lightness.shape == (SIDE, SIDE) and lightness.dtype == np.float32
    np.testing.assert_array_equal(lightness, rgb_to_lightness(np.asarray(small)))


def test_lightness_of_every_grey_is_from_0_to_100() -> None:
    """Exactly: what img2bin writes, main takes."""
    greys = np.arange(256, dtype=np.uint8).repeat(3).reshape(256, 1, 3)
    lightness = rgb_to_lightness(greys)
    assert lightness.min() == 0 and lightness.max() == 100
    assert np.all(np.diff(lightness[:, 0]) > 0)


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (1000, 500), (256, 256), (300, 200)])
def test_the_pictures_own_lightness_is_kept(size: tuple[int, int]) -> None:
    rgb, ab = picture(*size), colours()
    result = with_colours(rgb, ab, 0.1)
    assert result.shape == rgb.shape and result.dtype == np.uint8
    planes = [
        np.asarray(Image.fromarray(plane).resize(size[::-1], Image.Resampling.BICUBIC))
        for plane in ab
    ]
    lab = np.stack([rgb_to_lightness(rgb), *(np.float32(0.1) * plane for plane in planes)], -1)
    np.testing.assert_array_equal(result, lab_to_rgb(lab))


@pytest.mark.parametrize("size", [(3001, 700), (700, 3001), (2, 1_100_000), (1_100_000, 2)])
def test_bands_of_a_large_picture_have_no_seams(size: tuple[int, int]) -> None:
    """Colours are those of planes that are resized whole, but for rounding."""
    rgb, ab = picture(*size), colours()
    planes = [
        np.asarray(Image.fromarray(plane).resize(size[::-1], Image.Resampling.BICUBIC))
        for plane in ab
    ]
    whole = lab_to_rgb(np.stack([rgb_to_lightness(rgb), *planes], -1))
    difference = np.abs(with_colours(rgb, ab).astype(int) - whole)
    assert difference.max() <= 1 and difference.mean() < 1e-3


def test_a_result_may_take_the_place_of_its_picture() -> None:
    rgb, ab = picture(1500, 900).copy(), colours()
    expected = with_colours(rgb, ab)
    assert with_colours(rgb, ab, out=rgb) is rgb
    np.testing.assert_array_equal(rgb, expected)
    with pytest.raises(FormatError, match=r"out: expected uint8 of \(1500, 900, 3\), found float"):
        with_colours(rgb, ab, out=np.empty((1500, 900, 3), np.float32))


def test_what_a_picture_takes_besides_itself_does_not_grow() -> None:
    """In place, of 16 megapixels: 128 MB of a and b alone if they were resized whole."""
    rgb, ab = picture(4000, 4000).copy(), colours()
    tracemalloc.start()
    try:
        network_lightness(rgb)
        with_colours(rgb, ab, out=rgb)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 64 << 20


def test_it_tells_of_its_rows_and_can_be_ended() -> None:
    rgb = np.zeros((3000, 1000, 3), np.uint8)
    rows: list[int] = []
    with_colours(rgb, np.zeros((2, 4, 4), np.float32), advance=rows.append)
    assert len(rows) > 1 and sum(rows) == 3000

    def end(rows: int) -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        with_colours(rgb, np.zeros((2, 4, 4), np.float32), advance=end)


def test_strength() -> None:
    rgb, ab = picture(40, 30), colours()
    assert np.ptp(with_colours(rgb, ab, 0.0).astype(int), axis=2).max() <= 1  # grey
    np.testing.assert_array_equal(with_colours(rgb, ab, 0.5), with_colours(rgb, ab * 0.5))


def test_its_own_colours_give_the_picture_back() -> None:
    rgb = picture(SIDE, SIDE)
    ab = rgb_to_lab(rgb)[..., 1:].transpose(2, 0, 1)
    np.testing.assert_array_equal(with_colours(rgb, ab), rgb)


@pytest.mark.parametrize("kind", ["uint16", "float32", "float64"])
def test_other_types_of_pixels(kind: str) -> None:
    rgb, ab = picture(40, 30), colours() * 0.1
    scale = 257 if kind == "uint16" else 1 / 255
    same = (rgb * np.float64(scale)).astype(kind)
    np.testing.assert_array_equal(network_lightness(same), network_lightness(rgb))
    result = with_colours(same, ab)
    assert result.dtype == (np.uint16 if kind == "uint16" else np.float32)
    nearest = np.rint(result.astype(np.float64) / scale)
    assert np.abs(nearest - with_colours(rgb, ab)).max() <= 1


def test_grey_pictures() -> None:
    grey = picture(40, 30)[..., 0]
    rgb = np.repeat(grey[..., None], 3, 2)
    np.testing.assert_array_equal(network_lightness(grey), network_lightness(rgb))
    np.testing.assert_array_equal(with_colours(grey, colours()), with_colours(rgb, colours()))


@pytest.mark.parametrize("shape", [(3,), (4, 4, 4), (1, 4, 4, 3), (0, 4, 3), (4, 0)])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(FormatError, match="picture: expected"):
        network_lightness(np.zeros(shape, np.uint8))
    with pytest.raises(FormatError, match="picture: expected"):
        with_colours(np.zeros(shape, np.uint8), colours())


def test_other_types_are_refused() -> None:
    with pytest.raises(FormatError, match="found int64"):
        network_lightness(np.zeros((4, 4), int))
    for value in (np.nan, 255.0, -0.5):
        with pytest.raises(FormatError, match=f"expected floats from 0 to 1, found {value} to"):
            network_lightness(np.full((4, 4), value))
    with pytest.raises(FormatError, match=r"colours: expected shape \(2, h, w\)"):
        with_colours(picture(4, 4), np.zeros((3, 4, 4), np.float32))
    with pytest.raises(FormatError, match="strength: expected a finite number, found nan"):
        with_colours(picture(4, 4), colours(), float("nan"))
