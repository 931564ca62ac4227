"""16 bits a colour: read in full, and written as PNG and TIFF."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from facegen import FormatError
from facegen.colour import icc
from facegen.photos.encode import encode
from facegen.photos.metadata import Metadata
from facegen.photos.photo import decode, is_deep
from files import chunk, encoded, raw_png, raw_tiff, srgb_profile, with_chunks

GREYS = np.arange(65_536, dtype=np.uint16).reshape(256, 256)


def noise(height: int, width: int, channels: int, seed: int = 0) -> np.ndarray:
    generator = np.random.default_rng(seed)
    return generator.integers(0, 65_536, (height, width, channels), dtype=np.uint16)


def deep_of(data: bytes) -> np.ndarray | None:
    return decode(data, keep_depth=True).deep


def samples_of_png(data: bytes, channels: int) -> np.ndarray:
    """(height, width, channels), by the format's definition: filter Sub, row by row."""
    packed, place = b"", 8
    while place < len(data):
        length, name = struct.unpack_from(">I4s", data, place)
        content = data[place + 8 : place + 8 + length]
        assert data[place : place + 12 + length] == chunk(name, content)
        if name == b"IHDR":
            width, height, *kind = struct.unpack(">IIBBBBB", content)
            assert kind == [16, 2 if channels == 3 else 6, 0, 0, 0]
        elif name == b"IDAT":
            packed += content
        place += 12 + length
    rows = np.frombuffer(zlib.decompress(packed), np.uint8).reshape(height, -1)
    assert (rows[:, 0] == 1).all()
    differences = rows[:, 1:].reshape(height, width, 2 * channels)
    return np.cumsum(differences, axis=1, dtype=np.uint8).view(">u2")


@pytest.mark.parametrize("image", [GREYS, GREYS[:1, :1], noise(3, 700, 1)[..., 0]])
@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_greys_are_read_in_full(kind: str, image: np.ndarray) -> None:
    data = encoded(Image.fromarray(image), kind)
    np.testing.assert_array_equal(deep_of(data), image)
    assert decode(data).deep is None
    np.testing.assert_array_equal(decode(data).pixels, decode(data, keep_depth=True).pixels)


@pytest.mark.parametrize("order", ["<", ">"])
def test_tiffs_whose_least_value_is_white_and_of_12_bits(order: str) -> None:
    np.testing.assert_array_equal(deep_of(raw_tiff(GREYS, order, {262: 0})), 65_535 - GREYS)
    values = np.arange(64, dtype=np.uint16).reshape(8, 8) * 65  # to 4,095
    found = deep_of(raw_tiff(values, "<", {262: 1}, bits=12))
    np.testing.assert_array_equal(found, np.rint(values / 4095 * 65_535))


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
@pytest.mark.parametrize("with_alpha", [False, True])
@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1), (37, 51), (1200, 900)])
def test_what_is_written_is_read_again(name: str, with_alpha: bool, size: tuple[int, int]) -> None:
    """By our own reader, which has Pillow's decoder read both bytes."""
    values = noise(*size, 3)
    alpha = noise(*size, 1, seed=1)[..., 0].astype(np.uint8) if with_alpha else None
    if alpha is not None and size == (1, 1):
        alpha[:] = 255  # as an opaque picture it is read
    data = encode(values, name, alpha)
    photo = decode(data, keep_depth=True)
    np.testing.assert_array_equal(photo.deep, values)
    np.testing.assert_array_equal(photo.pixels, values >> 8)
    if alpha is None or size == (1, 1):
        assert photo.alpha is None
    else:
        np.testing.assert_array_equal(photo.alpha, alpha)
    if name == "a.png":
        samples = samples_of_png(data, 3 if alpha is None else 4)
        np.testing.assert_array_equal(samples[..., :3], values)
        if alpha is not None:
            np.testing.assert_array_equal(samples[..., 3], alpha.astype(int) * 257)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("options", [{}, {"compression": "zlib"}, {"rowsperstrip": 3}])
def test_tiffs_of_another_writer(order: str, options: dict[str, object], tmp_path: Path) -> None:
    tifffile = pytest.importorskip("tifffile", reason="tifffile is not installed")
    values, path = noise(20, 31, 3), tmp_path / "a.tif"
    tifffile.imwrite(path, values, byteorder=order, photometric="rgb", **options)
    np.testing.assert_array_equal(deep_of(path.read_bytes()), values)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
@pytest.mark.parametrize("with_alpha", [False, True])
def test_tiffs_for_another_reader(kind: type, with_alpha: bool, tmp_path: Path) -> None:
    tifffile = pytest.importorskip("tifffile", reason="tifffile is not installed")
    values, path = noise(700, 310, 3).astype(kind), tmp_path / "a.tif"
    alpha = values[..., 0].astype(np.uint8) if with_alpha else None
    path.write_bytes(encode(values, "a.tif", alpha, metadata=Metadata(dpi=(300.0, 72.5))))
    with tifffile.TiffFile(path) as file:
        (page,) = file.pages
        np.testing.assert_array_equal(page.asarray()[..., :3], values)
        assert page.tags["XResolution"].value == (300, 1)
        assert page.tags["YResolution"].value == (145, 2)


def test_colours_of_pngs_of_another_writer() -> None:
    values = noise(20, 31, 3)
    rows = values.astype(">u2").view(np.uint8).reshape(20, -1)
    np.testing.assert_array_equal(deep_of(raw_png(rows, 16, 2, 31)), values)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("grey", [False, True])
def test_orientation(orientation: int, grey: bool) -> None:
    """16 bits are turned as 8 are."""
    values = noise(5, 9, 3)
    data = encode(values, "a.png")
    if grey:
        data = encoded(Image.fromarray(values[..., 0]), "PNG")
    exif = Image.Exif()
    exif[274] = orientation
    photo = decode(with_chunks(data, chunk(b"eXIf", exif.tobytes()[6:])), keep_depth=True)
    assert photo.deep is not None
    high = photo.deep if photo.deep.ndim == 3 else np.repeat(photo.deep[..., np.newaxis], 3, 2)
    rounded = (high.astype(int) + 128) // 257 if grey else high >> 8
    np.testing.assert_array_equal(photo.pixels, rounded)


def test_profiles() -> None:
    """sRGB's leaves values as they are, a grey one is applied in 16 bits, others take 8."""
    grey = Image.fromarray(GREYS)
    np.testing.assert_array_equal(deep_of(encoded(grey, "PNG", icc_profile=srgb_profile())), GREYS)
    profile = icc.grey_profile(icc.power(1.8))
    light = (GREYS / 65_535) ** 1.8
    curve = np.where(light > 0.0031308, 1.055 * light ** (1 / 2.4) - 0.055, 12.92 * light)
    for kind in ("PNG", "TIFF"):
        photo = decode(encoded(grey, kind, icc_profile=profile), keep_depth=True)
        assert photo.deep is not None and photo.profile is None
        difference = np.abs(photo.deep - 65_535 * curve)
        assert difference[20:].max() < 40 and difference.max() < 400  # of black less is known
        assert np.abs(photo.pixels[..., 0] - photo.deep / 257).max() < 2
    wide = icc.rgb_profile(icc.BT2020_PRIMARIES, icc.power(2.2))
    assert wide is not None
    assert deep_of(encoded(grey, "PNG", icc_profile=wide)) is None
    gamma = with_chunks(encoded(grey, "PNG"), chunk(b"gAMA", struct.pack(">I", 100_000)))
    assert deep_of(gamma) is None


def test_metadata_and_profiles_of_results() -> None:
    metadata = Metadata(dpi=(300.0, 300.0), text=(("Title", "a"),), xmp=b"<x:xmpmeta/>")
    values = noise(4, 5, 3)
    for name in ("a.png", "a.tif"):
        photo = decode(encode(values, name, None, srgb_profile(), metadata), keep_depth=True)
        assert photo.metadata.dpi == pytest.approx((300, 300), abs=0.01)
        assert photo.metadata.xmp == b"<x:xmpmeta/>" and photo.profile == srgb_profile()
        np.testing.assert_array_equal(photo.deep, values)
    assert decode(encode(values, "a.png", metadata=metadata)).metadata.text == (("Title", "a"),)
    wide = icc.rgb_profile(icc.BT2020_PRIMARIES, icc.power(2.2))
    assert decode(encode(values, "a.png", None, wide)).profile is None  # they are sRGB


@pytest.mark.parametrize("name", ["a.jpg", "a.webp", "a.bmp"])
def test_formats_of_8_bits(name: str) -> None:
    with pytest.raises(FormatError, match="has 8 bits a colour; PNG and TIFF have 16, and --depth"):
        encode(noise(2, 2, 3), name)


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@settings(max_examples=60, deadline=None)
@given(
    kind=st.sampled_from(["a.png", "a.tif"]),
    place=st.floats(0, 1, exclude_max=True),
    value=st.integers(0, 255),
)
def test_a_damaged_byte_is_an_error_or_a_picture(kind: str, place: float, value: int) -> None:
    data = bytearray(encode(noise(9, 7, 3), kind))
    data[int(place * len(data))] = value
    try:
        photo = decode(bytes(data), keep_depth=True)
    except FormatError:
        return
    assert photo.deep is None or photo.deep.shape[:2] == photo.pixels.shape[:2]


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_a_header_says_whether_there_are_16(name: str) -> None:
    deep, alpha = noise(6, 5, 3), np.full((6, 5), 7, np.uint8)
    for pixels, expected in ((deep, True), ((deep >> 8).astype(np.uint8), False)):
        for written in (encode(pixels, name), encode(pixels, name, alpha)):
            assert is_deep(written) is expected
            assert (deep_of(written) is not None) is expected
    grey = encoded(Image.fromarray(deep[..., 0]), "PNG" if name == "a.png" else "TIFF")
    assert is_deep(grey) and deep_of(grey) is not None
