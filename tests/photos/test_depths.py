"""Samples of other depths than 8 bits, and the colour that is transparent in them."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from PIL import Image

from facegen.photos.photo import decode, of_image
from files import chunk, encoded, raw_png, raw_tiff

DEEP = np.arange(64, dtype=np.uint16).reshape(8, 8) * 1040  # 0 to 65,520


def grey_png(depth: int, key: int) -> tuple[bytes, np.ndarray]:
    """All values of a depth in a row, and those values; one is transparent."""
    values = np.arange(min(1 << depth, 256)) * (257 if depth == 16 else 1)
    if depth == 16:
        values[1:] -= 1  # so that neighbours share no byte
        row = values.astype(">u2").view(np.uint8)
    else:
        bits = values[:, np.newaxis] >> np.arange(depth)[::-1] & 1
        row = np.packbits(bits.astype(np.uint8))
    transparent = chunk(b"tRNS", struct.pack(">H", key))
    return raw_png(row[np.newaxis], depth, 0, len(values), transparent), values


@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
@pytest.mark.parametrize("which", [0, 1, -1])
def test_a_transparent_grey_of_any_depth(depth: int, which: int) -> None:
    _, values = grey_png(depth, 0)
    data, _ = grey_png(depth, int(values[which]))
    photo = decode(data)
    np.testing.assert_array_equal(photo.alpha[0], np.where(values == values[which], 0, 255))
    levels = np.rint(values / ((1 << depth) - 1) * 255)
    np.testing.assert_array_equal(photo.pixels[0, :, 0], levels)


@pytest.mark.parametrize("depth", [1, 2, 4, 8])
def test_only_the_bits_that_samples_have_count_in_a_key(depth: int) -> None:
    """As libpng has it; what an encoder left in the others is nothing."""
    for left in (1 << depth, 0xFFFF << depth & 0xFFFF, 0x0100):
        for value in (0, 1):
            data, values = grey_png(depth, left | value)
            np.testing.assert_array_equal(decode(data).alpha[0], np.where(values == value, 0, 255))


def test_a_key_of_16_bits_is_compared_whole() -> None:
    """Of white 8-bit pixels only the low byte of it is equal: of 16-bit ones none."""
    white = np.full((3, 3 * 6), 255, np.uint8)
    keys = {0xFFFF: 0, 0x12FF: 255, 0xFF12: 255}
    for key, alpha in keys.items():
        data = raw_png(white, 16, 2, 3, chunk(b"tRNS", struct.pack(">3H", key, key, key)))
        photo = decode(data)
        assert (np.full((3, 3), 255) if photo.alpha is None else photo.alpha).mean() == alpha
        assert photo.pixels.min() == 255
    grey = raw_png(white[:, :6], 16, 0, 3, chunk(b"tRNS", struct.pack(">H", 0x12FF)))
    assert decode(grey).alpha is None


@pytest.mark.parametrize("interlaced", [False, True])
def test_a_transparent_colour_of_16_bits(interlaced: bool) -> None:
    """Neighbours of the colour, which have its upper bytes, are opaque."""
    values = np.zeros((2, 3, 3), np.uint16)
    values[0] = 40_000
    values[0, 1, 2] += 1
    values[1, 2] = 40_000, 40_000, 40_255
    rows = values.astype(">u2").view(np.uint8).reshape(2, 18)
    key = chunk(b"tRNS", struct.pack(">3H", 40_000, 40_000, 40_000))
    data = raw_png(rows, 16, 2, 3, key)
    if interlaced:  # a single pixel is the same in both orders
        data = raw_png(rows[:1, :6], 16, 2, 1, key)
        header = data[12:28] + b"\1"
        data = data[:8] + chunk(b"IHDR", header[4:]) + data[33:]
        values = values[:1, :1]
    photo = decode(data)
    np.testing.assert_array_equal(photo.alpha, np.where((values == 40_000).all(axis=2), 0, 255))
    np.testing.assert_array_equal(photo.pixels, values >> 8)


def test_a_transparent_colour_of_8_bits() -> None:
    image = Image.fromarray(np.uint8([[[1, 2, 3], [3, 2, 1], [1, 2, 4]]]))
    for photo in (
        decode(encoded(image, "PNG", transparency=(1, 2, 3))),
        decode(encoded(image, "PNG", transparency=(0x101, 0x202, 0x303))),
    ):
        np.testing.assert_array_equal(photo.alpha, [[0, 255, 255]])


def test_an_image_that_pillow_has_opened_has_the_same_transparency() -> None:
    for depth in (1, 2, 4, 8, 16):
        data, _ = grey_png(depth, 1 if depth < 16 else 256)
        expected = decode(data)
        found = of_image(Image.open(io.BytesIO(data)))
        np.testing.assert_array_equal(found.alpha, expected.alpha)
        np.testing.assert_array_equal(found.pixels, expected.pixels)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("white", [False, True])
def test_16_bit_tiffs(order: str, white: bool) -> None:
    """White or black is the least value."""
    photo = decode(raw_tiff(DEEP, order, {262: 0 if white else 1}))
    light = 65_535 - DEEP.astype(int) if white else DEEP
    np.testing.assert_array_equal(photo.pixels[..., 0], np.rint(light / 257))


def test_12_bit_tiffs() -> None:
    values = np.arange(64, dtype=np.uint16).reshape(8, 8) * 65  # to 4,095
    photo = decode(raw_tiff(values, "<", {262: 1}, bits=12))
    np.testing.assert_array_equal(photo.pixels[..., 0], np.rint(values / 4095 * 255))


def test_a_white_tiff_that_pillow_has_opened() -> None:
    image = Image.open(io.BytesIO(raw_tiff(DEEP, "<", {262: 0})))
    expected = np.rint((65_535 - DEEP.astype(int)) / 257)
    np.testing.assert_array_equal(of_image(image).pixels[..., 0], expected)


def test_a_white_tiff_whose_copy_does_not_say_so() -> None:
    """Pillow gives copies no tags, and both kinds the same mode and info: values are all there is.

    docs/pictures.md says so; of a file it is known.
    """
    white, black = (Image.open(io.BytesIO(raw_tiff(DEEP, "<", {262: n}))) for n in (0, 1))
    assert (white.mode, white.info, white.tile) == (black.mode, black.info, black.tile)
    for image in (white, black):
        np.testing.assert_array_equal(of_image(image.copy()).pixels[..., 0], np.rint(DEEP / 257))


def bmp(alpha: np.ndarray) -> bytes:
    """32 bits with a mask for alpha (BITMAPV4HEADER); grey 100."""
    height, width = alpha.shape
    pixels = np.full((height, width, 4), 100, np.uint8)
    pixels[..., 3] = alpha
    masks = struct.pack("<4I", 0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    header = struct.pack("<IiiHHIIiiII", 108, width, height, 1, 32, 3, pixels.size, 0, 0, 0, 0)
    header += masks.ljust(68, b"\0")
    place = 14 + len(header)
    start = b"BM" + struct.pack("<IHHI", place + pixels.size, 0, 0, place)
    return start + header + pixels[::-1].tobytes()


def test_a_bmp_whose_alpha_nobody_set_is_opaque() -> None:
    photo = decode(bmp(np.zeros((3, 4))))
    assert photo.alpha is None and photo.pixels.min() == photo.pixels.max() == 100
    alpha = np.arange(12).reshape(3, 4)
    np.testing.assert_array_equal(decode(bmp(alpha)).alpha, alpha)
    invisible = Image.new("RGBA", (4, 3), (100, 100, 100, 0))  # in other formats it is meant
    assert decode(encoded(invisible, "PNG")).alpha.max() == 0
