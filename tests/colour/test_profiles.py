"""Colours that are not sRGB, as ICC profiles and PNG's chunks say it; and profiles that are odd."""

from __future__ import annotations

import io
import random
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from facegen.colour.profiles import to_srgb
from facegen.errors import FormatError
from facegen.photos import avif
from facegen.photos.encode import encode
from facegen.photos.photo import decode
from files import chunk, encoded, heic, pixels, png, profile_of, srgb_profile, with_chunks

RGB = pixels(11, 6)
RAMP = np.repeat(np.arange(256, dtype=np.uint8)[:, np.newaxis, np.newaxis], 3, axis=2)
D50 = (0.9642, 1.0, 0.8249)

# x and y of white, red, green, blue.
SRGB = (0.3127, 0.329, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06)
P3 = (0.3127, 0.329, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06)
ADOBE = (0.3127, 0.329, 0.64, 0.33, 0.21, 0.71, 0.15, 0.06)


def srgb_curve(x: np.ndarray) -> np.ndarray:
    """From linear light, both 0 to 1 (IEC 61966-2-1)."""
    return np.where(x <= 0.0031308, 12.92 * x, 1.055 * np.maximum(x, 1e-9) ** (1 / 2.4) - 0.055)


def srgb_light(x: np.ndarray) -> np.ndarray:
    return np.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4)


def to_xyz(primaries: tuple[float, ...]) -> np.ndarray:
    """The matrix from linear RGB to XYZ, whose white is that of the primaries."""
    white, *colours = (
        np.array([x / y, 1, (1 - x - y) / y])
        for x, y in zip(primaries[::2], primaries[1::2], strict=True)
    )
    matrix = np.stack(colours, axis=1)
    return matrix * np.linalg.solve(matrix, white)


def shown(light: np.ndarray, primaries: tuple[float, ...] = SRGB) -> np.ndarray:
    """Levels of sRGB, 0 to 255, of linear light (..., 3) in other primaries of the same white."""
    matrix = np.linalg.solve(to_xyz(SRGB), to_xyz(primaries))
    return 255 * srgb_curve(np.clip(light @ matrix.T, 0, 1))


def curve(exponent: float) -> bytes:
    return b"curv" + bytes(4) + struct.pack(">IH", 1, round(exponent * 256))


def xyz(values: tuple[float, ...]) -> bytes:
    return b"XYZ " + bytes(4) + b"".join(struct.pack(">i", round(v * 65536)) for v in values)


def named(name: str) -> bytes:
    return b"desc" + bytes(4) + struct.pack(">I", len(name) + 1) + name.encode().ljust(83, b"\0")


# As they stand in profiles, under D50 (Bradford).
SRGB_COLORANTS = (
    (0.43607, 0.22249, 0.01392), (0.38515, 0.71687, 0.09708), (0.14307, 0.06061, 0.7141),
)  # fmt: skip
ADOBE_COLORANTS = (
    (0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457),
)  # fmt: skip


def rgb_profile(
    exponent: float, name: str, colorants: tuple[tuple[float, ...], ...] = SRGB_COLORANTS
) -> bytes:
    tags = {b"desc": named(name), b"wtpt": xyz(D50)}
    for letter, colorant in zip((b"r", b"g", b"b"), colorants, strict=True):
        tags |= {letter + b"XYZ": xyz(colorant), letter + b"TRC": curve(exponent)}
    return profile_of(tags)


@pytest.mark.parametrize("name", ["linear", "sRGB built-in", "GIMP built-in Linear sRGB"])
def test_a_linear_profile_is_converted_from_and_back_whatever_its_name(name: str) -> None:
    profile = rgb_profile(1.0, name)
    photo = decode(encoded(Image.fromarray(RAMP), "PNG", icc_profile=profile))
    expected = 255 * srgb_curve(RAMP / 255)
    assert np.abs(photo.pixels - expected).max() <= 1.5  # two roundings
    assert photo.profile == profile
    back = np.asarray(Image.open(io.BytesIO(encode(photo.pixels, "a.png", None, profile))))
    assert np.abs(back.astype(int) - RAMP).max() <= 3  # one level of sRGB is up to 2.3 there


def test_other_primaries_are_converted_from_whatever_their_name() -> None:
    profile = rgb_profile(2.2, "not sRGB", ADOBE_COLORANTS)
    photo = decode(encoded(Image.fromarray(RGB), "PNG", icc_profile=profile))
    expected = shown((RGB / 255) ** 2.2, ADOBE)
    assert np.abs(photo.pixels - expected).max() <= 2
    assert np.abs(expected - RGB).max() > 20
    assert photo.profile == profile


def test_srgb_is_known_by_another_name() -> None:
    renamed = srgb_profile().replace("sRGB".encode("utf-16-be"), "mine".encode("utf-16-be"))
    assert renamed != srgb_profile()
    photo = decode(encoded(Image.fromarray(RGB), "PNG", icc_profile=renamed))
    np.testing.assert_array_equal(photo.pixels, RGB)
    assert photo.profile == renamed
    back = np.asarray(Image.open(io.BytesIO(encode(photo.pixels, "a.png", None, renamed))))
    np.testing.assert_array_equal(back, RGB)


def test_grey_profile_is_converted_from() -> None:
    tags = {b"desc": named("grey"), b"wtpt": xyz(D50), b"kTRC": curve(2.2)}
    profile = profile_of(tags, space=b"GRAY")
    grey = np.arange(256, dtype=np.uint8)[:, np.newaxis]
    photo = decode(encoded(Image.fromarray(grey), "PNG", icc_profile=profile))
    expected = 255 * srgb_curve((np.arange(256) / 255) ** 2.2)
    assert np.abs(photo.pixels[:, 0].T - expected).max() <= 1.5  # two roundings
    assert np.abs(expected - np.arange(256)).max() > 5  # another curve than sRGB's
    assert photo.profile is None  # results have colours


def table_profile(writes: bool) -> bytes:
    """RGB as a table to Lab whose lightness is their mean; and one back, if it `writes`."""
    corners = np.stack(np.meshgrid(*[[0, 1]] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    lightness = np.rint(corners.mean(axis=1) * 0xFF00)
    neutral = np.full(8, 0x8000)
    identity = b"".join(struct.pack(">i", 65536 * (i % 4 == 0)) for i in range(9))
    head = b"mft2" + bytes(4) + bytes([3, 3, 2, 0]) + identity + struct.pack(">HH", 2, 2)
    tables = struct.pack(">HH", 0, 0xFFFF) * 3
    to_lab = np.stack([lightness, neutral, neutral], axis=1).astype(">u2").tobytes()
    to_rgb = np.repeat(corners[:, :1] * 0xFFFF, 3, axis=1).astype(">u2").tobytes()
    tags = {b"desc": named("sharing"), b"wtpt": xyz(D50), b"A2B0": head + tables + to_lab + tables}
    if writes:
        tags[b"B2A0"] = head + tables + to_rgb + tables
    return profile_of(tags, pcs=b"Lab ")


@pytest.mark.parametrize("writes", [True, False])
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF"])
def test_a_profile_that_can_only_be_read_from(kind: str, writes: bool) -> None:
    profile = table_profile(writes)
    grey = Image.new("RGB", (8, 8), (119, 119, 119))
    photo = decode(encoded(grey, kind, icc_profile=profile))
    luminance = ((119 / 255 * 100 + 16) / 116) ** 3
    assert np.abs(photo.pixels - 255 * srgb_curve(np.array(luminance))).max() <= 1.5
    assert photo.profile == (profile if writes else None)  # results are sRGB without it
    again = decode(encode(photo.pixels, "a.png", photo.alpha, photo.profile))
    assert np.abs(again.pixels.astype(int) - photo.pixels).max() <= 1


def test_a_profile_that_nothing_can_be_converted_to() -> None:
    for profile in (b"garbage", table_profile(writes=False)):
        with pytest.raises(FormatError, match="profile cannot be converted to"):
            encode(RGB, "a.png", None, profile)


def gamma(value: float) -> bytes:
    return chunk(b"gAMA", struct.pack(">I", round(value * 1e5)))


def chromaticities(primaries: tuple[float, ...]) -> bytes:
    return chunk(b"cHRM", struct.pack(">8I", *(round(value * 1e5) for value in primaries)))


STANDARD = chunk(b"sRGB", b"\0")
AS_SRGB, AS_P3 = chunk(b"cICP", bytes([1, 13, 0, 1])), chunk(b"cICP", bytes([12, 13, 0, 1]))
LIGHT = srgb_light(RGB / 255)


@pytest.mark.parametrize(
    ("chunks", "expected"),
    [
        ([gamma(1.0)], shown(RGB / 255)),
        ([gamma(1 / 1.8)], shown((RGB / 255) ** 1.8)),
        ([gamma(1 / 2.2)], RGB),  # stands for sRGB's curve
        ([gamma(0.0)], RGB),
        ([STANDARD, gamma(1.0)], RGB),
        ([chromaticities(ADOBE)], RGB),  # no curve, no colours
        ([gamma(1 / 2.2), chromaticities(SRGB)], RGB),
        ([gamma(1 / 2.2), chromaticities(ADOBE)], shown(LIGHT, ADOBE)),
        ([gamma(1.0), chromaticities(ADOBE)], shown(RGB / 255, ADOBE)),
        ([gamma(1.0), chromaticities((0.0,) * 8)], shown(RGB / 255)),
        ([AS_SRGB, gamma(1.0)], RGB),
        ([AS_P3], shown(LIGHT, P3)),
        ([chunk(b"cICP", bytes([9, 16, 0, 1]))], RGB),  # high dynamic range is not understood
    ],
)
def test_png_without_a_profile(chunks: list[bytes], expected: np.ndarray) -> None:
    photo = decode(with_chunks(encoded(Image.fromarray(RGB), "PNG"), *chunks))
    assert np.abs(photo.pixels - expected).max() <= (0 if expected is RGB else 2)
    assert photo.profile is None


def test_what_comes_before_what_in_a_png() -> None:
    """cICP, then the profile, then sRGB, then gamma, as PNG's third edition says."""
    linear = encoded(Image.fromarray(RGB), "PNG", icc_profile=rgb_profile(1.0, "linear"))
    photo = decode(with_chunks(linear, STANDARD))
    assert np.abs(photo.pixels - shown(RGB / 255)).max() <= 2
    np.testing.assert_array_equal(decode(with_chunks(linear, AS_SRGB)).pixels, RGB)
    standard = encoded(Image.fromarray(RGB), "PNG", icc_profile=srgb_profile())
    np.testing.assert_array_equal(decode(with_chunks(standard, gamma(1.0))).pixels, RGB)
    broken = encoded(Image.fromarray(RGB), "PNG", icc_profile=b"garbage")
    photo = decode(with_chunks(broken, gamma(1.0)))
    assert np.abs(photo.pixels - shown(RGB / 255)).max() <= 2


def test_gamma_of_grey_and_of_palettes() -> None:
    for mode in ("L", "P", "1"):
        image = Image.fromarray(RAMP[..., 0]).convert(mode)
        photo = decode(with_chunks(encoded(image, "PNG"), gamma(1.0)))
        expected = 255 * srgb_curve(np.asarray(image.convert("RGB")) / 255)
        assert np.abs(photo.pixels - expected).max() <= 1.5


@pytest.mark.parametrize("seed", range(3))
def test_a_damaged_profile_never_loses_the_picture(seed: int) -> None:
    chance = random.Random(seed)
    for whole in (rgb_profile(1.0, "linear"), table_profile(True), srgb_profile()):
        for _ in range(30):
            profile = bytearray(whole)
            for _ in range(chance.randint(1, 6)):
                profile[chance.randrange(len(profile))] = chance.choice((0, 1, 127, 128, 255))
            photo = decode(encoded(Image.fromarray(RGB), "PNG", icc_profile=bytes(profile)))
            assert photo.pixels.shape == RGB.shape
            encode(photo.pixels, "a.jpg", photo.alpha, photo.profile)


def test_a_profile_of_more_than_a_megabyte() -> None:
    profile = srgb_profile() + random.Random(0).randbytes(2 << 20)
    data = with_chunks(png(), chunk(b"iCCP", b"big\0\0" + zlib.compress(profile)))
    assert decode(data).profile == profile


def with_nclx(data: bytes, primaries: int, curve: int) -> bytes:
    """An AVIF or HEIC whose box of colours says something else."""
    start, found, rest = data.partition(b"nclx")
    assert found and b"nclx" not in rest
    return start + found + struct.pack(">HH", primaries, curve) + rest[4:]


@pytest.mark.parametrize("kind", ["AVIF", "HEIC"])
def test_nclx(kind: str) -> None:
    """Converted as PNG's cICP of the same numbers, and HDR neither there nor here."""
    if kind == "AVIF":
        data = encoded(Image.fromarray(RGB), kind, quality=100, subsampling="4:4:4")
    else:
        data = heic(Image.fromarray(RGB))
    plain = decode(data).pixels
    for numbers in ((1, 13), (12, 13), (9, 13), (9, 8), (9, 16), (9, 18), (2, 2), (1, 1)):
        as_png = with_chunks(
            encoded(Image.fromarray(plain), "PNG"), chunk(b"cICP", bytes([*numbers, 0, 1]))
        )
        photo = decode(with_nclx(data, *numbers))
        np.testing.assert_array_equal(photo.pixels, decode(as_png).pixels)
        changed = not np.array_equal(photo.pixels, plain)
        assert changed == (numbers in ((12, 13), (9, 13), (9, 8))) and photo.profile is None


def test_a_profile_comes_before_nclx() -> None:
    data = encoded(Image.fromarray(RGB), "AVIF", icc_profile=srgb_profile())
    assert decode(data).profile == srgb_profile()
    colr = b"nclx" + struct.pack(">HHHB", 12, 13, 6, 0x80)
    both = {"icc_profile": srgb_profile(), **avif.describe(with_boxes(colr))}
    image = Image.fromarray(RGB)
    assert both["nclx_profile"]["color_primaries"] == 12
    assert to_srgb(image, both)[1] == srgb_profile()
    both["icc_profile"] = b"damaged"
    assert not np.array_equal(np.asarray(to_srgb(image, both)[0]), RGB)


def box(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(content), name) + content


def with_boxes(*colours: bytes) -> bytes:
    properties = b"".join(box(b"colr", colour) for colour in colours)
    meta = box(b"meta", bytes(4) + box(b"iprp", box(b"ipco", properties)))
    return box(b"ftyp", b"avif" + bytes(4)) + meta


def test_nclx_of_pictures_that_differ() -> None:
    p3, hdr = (b"nclx" + struct.pack(">HHHB", n, 13, 6, 0x80) for n in (12, 9))
    assert avif.describe(with_boxes(p3, p3)) and avif.describe(with_boxes(b"prof" + p3, p3))
    assert not avif.describe(with_boxes(p3, hdr))
    whole = with_boxes(p3)
    for end in range(len(whole)):
        assert not avif.describe(whole[:end])
    for place in range(8, len(whole)):
        for byte in (0, 1, 7, 255):
            avif.describe(whole[:place] + bytes([byte]) + whole[place + 1 :])
