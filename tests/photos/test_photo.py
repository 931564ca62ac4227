"""Every kind of picture file becomes 8-bit RGB, upright, with alpha apart; and goes back."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from facegen import FormatError
from facegen.photos.encode import WRITABLE, encode
from facegen.photos.photo import decode, size
from files import encoded, pixels, png, srgb_profile
from memory import outcome_within

pytestmark = [  # of damaged files
    pytest.mark.filterwarnings("ignore::UserWarning:PIL"),
    pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning"),
]

RGB = pixels(11, 6)
GREY = RGB[:, :, 0]
ALPHA = np.arange(66, dtype=np.uint8).reshape(11, 6)


def grey3(values: np.ndarray) -> np.ndarray:
    return np.repeat(values[:, :, np.newaxis], 3, axis=2)


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "PPM", "GIF"])
def test_grey(kind: str) -> None:
    photo = decode(encoded(Image.fromarray(GREY), kind))
    np.testing.assert_array_equal(photo.pixels, grey3(GREY))
    assert photo.alpha is None and photo.profile is None


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "PPM"])
def test_rgb(kind: str) -> None:
    photo = decode(encoded(Image.fromarray(RGB), kind))
    np.testing.assert_array_equal(photo.pixels, RGB)
    assert photo.pixels.flags.c_contiguous and photo.alpha is None


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PPM"])
def test_16_bits_are_rounded(kind: str) -> None:
    values = np.linspace(0, 65535, 66).astype(np.uint16).reshape(11, 6)
    photo = decode(encoded(Image.fromarray(values), kind))
    np.testing.assert_array_equal(photo.pixels, grey3(np.uint8(np.rint(values / 257))))


def test_16_bits_with_a_transparent_value() -> None:
    values = np.arange(66, dtype=np.uint16).reshape(11, 6) * 900
    photo = decode(encoded(Image.fromarray(values), "PNG", transparency=1800))
    assert photo.alpha is not None
    np.testing.assert_array_equal(photo.alpha, np.where(values == 1800, 0, 255))


def test_floats_are_refused() -> None:
    data = encoded(Image.fromarray(np.ones((3, 3), np.float32)), "TIFF")
    with pytest.raises(FormatError, match="floating-point"):
        decode(data)


def test_32_bits_out_of_range() -> None:
    values = np.full((3, 3), 70_000, np.int32)
    with pytest.raises(FormatError, match="70000, expected 0 to 65,535"):
        decode(encoded(Image.fromarray(values), "TIFF"))


def test_palette_and_two_levels() -> None:
    image = Image.fromarray(RGB).quantize(16)
    photo = decode(encoded(image, "PNG"))
    np.testing.assert_array_equal(photo.pixels, np.asarray(image.convert("RGB")))
    bits = Image.fromarray(GREY).convert("1")
    np.testing.assert_array_equal(
        decode(encoded(bits, "PNG")).pixels, grey3(np.asarray(bits) * np.uint8(255))
    )


def test_palette_with_a_transparent_entry() -> None:
    image = Image.fromarray(RGB).quantize(16)
    photo = decode(encoded(image, "PNG", transparency=3))
    np.testing.assert_array_equal(photo.alpha, np.where(np.asarray(image) == 3, 0, 255))
    np.testing.assert_array_equal(photo.pixels, np.asarray(image.convert("RGB")))


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("colours", [RGB, GREY], ids=["RGBA", "LA"])
def test_alpha_is_kept_apart(kind: str, colours: np.ndarray) -> None:
    image = Image.fromarray(colours)
    image.putalpha(Image.fromarray(ALPHA))
    options = {"lossless": True, "exact": True} if kind == "WEBP" else {}
    photo = decode(encoded(image, kind, **options))
    np.testing.assert_array_equal(photo.alpha, ALPHA)
    np.testing.assert_array_equal(photo.pixels, colours if colours.ndim == 3 else grey3(colours))


def test_alpha_that_is_opaque_is_none() -> None:
    image = Image.fromarray(RGB)
    image.putalpha(255)
    assert decode(encoded(image, "PNG")).alpha is None


def test_cmyk() -> None:
    image = Image.fromarray(pixels(32, 32)).convert("CMYK")
    photo = decode(encoded(image, "TIFF"))
    np.testing.assert_array_equal(photo.pixels, np.asarray(image.convert("RGB")))
    jpeg = decode(encoded(image, "JPEG", quality=100))
    assert np.abs(jpeg.pixels.astype(int) - photo.pixels).max() < 24  # JPEG's own loss


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    turned = {
        1: RGB,
        2: RGB[:, ::-1],
        3: RGB[::-1, ::-1],
        4: RGB[::-1],
        5: RGB.swapaxes(0, 1),
        6: np.rot90(RGB, -1),
        7: RGB.swapaxes(0, 1)[::-1, ::-1],
        8: np.rot90(RGB),
    }[orientation]
    photo = decode(encoded(Image.fromarray(RGB), "PNG", exif=exif))
    np.testing.assert_array_equal(photo.pixels, turned)


def test_exif_that_is_garbage() -> None:
    photo = decode(encoded(Image.fromarray(RGB), "PNG", exif=b"Exif\0\0MM\0\x2a\0\0\0\x08\xff\xff"))
    np.testing.assert_array_equal(photo.pixels, RGB)


@pytest.mark.parametrize("shape", [(1, 1), (1, 5000), (5000, 1)])
def test_extreme_shapes(shape: tuple[int, int]) -> None:
    image = pixels(*shape)
    data = encode(image, "a.png")
    assert size(data) == shape
    np.testing.assert_array_equal(decode(data).pixels, image)


def test_srgb_profile_is_kept_and_changes_nothing() -> None:
    photo = decode(encoded(Image.fromarray(RGB), "PNG", icc_profile=srgb_profile()))
    np.testing.assert_array_equal(photo.pixels, RGB)
    assert photo.profile == srgb_profile()
    back = Image.open(io.BytesIO(encode(photo.pixels, "a.png", None, photo.profile)))
    np.testing.assert_array_equal(np.asarray(back), RGB)
    assert back.info["icc_profile"] == srgb_profile()


def test_grey_with_a_profile_for_rgb() -> None:
    photo = decode(encoded(Image.fromarray(GREY), "PNG", icc_profile=srgb_profile()))
    np.testing.assert_array_equal(photo.pixels, grey3(GREY))
    assert photo.profile == srgb_profile()


@pytest.mark.parametrize("profile", [b"garbage", srgb_profile()[:200]])
def test_damaged_profile_is_ignored(profile: bytes) -> None:
    photo = decode(encoded(Image.fromarray(RGB), "PNG", icc_profile=profile))
    np.testing.assert_array_equal(photo.pixels, RGB)
    assert photo.profile is None


def test_profile_for_another_kind_of_picture_is_ignored() -> None:
    cmyk = Image.fromarray(RGB).convert("CMYK")
    photo = decode(encoded(cmyk, "TIFF", icc_profile=srgb_profile()))
    np.testing.assert_array_equal(photo.pixels, np.asarray(cmyk.convert("RGB")))
    assert photo.profile is None


@pytest.mark.parametrize("extension", WRITABLE)
def test_encode(extension: str) -> None:
    image = pixels(40, 30)
    back = decode(encode(image, f"a{extension.upper()}", profile=srgb_profile()))
    lossy = extension in (".jpg", ".jpeg", ".webp", ".gif")
    assert np.abs(back.pixels.astype(int) - image).mean() <= (4 if lossy else 0)
    assert back.profile == (None if extension in (".bmp", ".gif") else srgb_profile())


@pytest.mark.parametrize("extension", WRITABLE)
def test_encode_alpha(extension: str) -> None:
    black = np.zeros((20, 20, 3), np.uint8)
    alpha = np.full((20, 20), 51, np.uint8)  # a fifth
    back = decode(encode(black, f"a{extension}", alpha))
    if extension in (".jpg", ".jpeg", ".bmp"):
        assert back.alpha is None and np.abs(back.pixels.astype(int) - 204).max() <= 1  # on white
    else:
        kept = 0 if extension == ".gif" else 51  # there nothing is half transparent
        assert back.alpha is not None and np.abs(back.alpha.astype(int) - kept).max() <= 1


def test_encode_refuses() -> None:
    with pytest.raises(FormatError, match="'.xyz'"):
        encode(RGB, "a.xyz")
    with pytest.raises(FormatError, match="1 x 65,501 pixels: a JPEG has at most 65,500 a side"):
        encode(np.zeros((65_501, 1, 3), np.uint8), "a.jpg")
    with pytest.raises(FormatError, match="WEBP, 2 x 16384"):
        encode(np.zeros((16_384, 2, 3), np.uint8), "a.webp")


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "WEBP", "GIF", "BMP"])
def test_truncated(kind: str) -> None:
    data = encoded(Image.fromarray(pixels(64, 64)), kind)
    for length in (0, 1, 10, len(data) // 2, len(data) - 40):
        with pytest.raises(FormatError):
            decode(data[:length])


def test_above_the_limit_of_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    data = png(20, 20)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 399)
    with (
        pytest.warns(Image.DecompressionBombWarning),
        pytest.raises(FormatError, match=r"20 x 20 pixels, more than the limit of 399 \(--max-p"),
    ):
        decode(data)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(FormatError, match=r"pixels than twice the limit of 100 \(--max-pixels"):
        decode(data)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 400)
    assert decode(data).pixels.shape == (20, 20, 3)


@settings(max_examples=60, deadline=None)
@given(
    kind=st.sampled_from(["PNG", "JPEG", "TIFF", "WEBP", "GIF", "BMP", "PPM"]),
    place=st.floats(0, 1, exclude_max=True),
    value=st.integers(0, 255),
)
def test_a_damaged_byte_is_an_error_or_a_picture(kind: str, place: float, value: int) -> None:
    data = bytearray(encoded(Image.fromarray(RGB), kind))
    data[int(place * len(data))] = value
    try:
        photo = decode(bytes(data))
    except FormatError as error:
        assert str(error)
    else:
        assert photo.pixels.ndim == 3 and photo.pixels.dtype == np.uint8


def test_a_small_file_takes_little_memory(tmp_path: Path) -> None:
    """Not that of the largest file that would be read."""
    (tmp_path / "a.png").write_bytes(png())
    assert outcome_within(64 << 20, "facegen.photos.photo:read_bytes", tmp_path / "a.png") == "read"


def test_a_message_of_a_decoder_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object, **options: object) -> None:
        raise OSError("no room\nfor the second line")

    monkeypatch.setattr(Image, "open", fail)
    with pytest.raises(FormatError, match=r"^cannot be decoded: no room$"):
        decode(png())


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_a_large_picture_is_decoded_in_little_more_than_itself(mode: str, tmp_path: Path) -> None:
    """40 megapixels: Pillow's image of 1 or 4 bytes a pixel, and 3 for what becomes of it."""
    size = (8000, 5000)
    Image.new(mode, size).save(tmp_path / "large.png")
    most = size[0] * size[1] * ((4 if mode == "RGB" else 1) + 3) + (40 << 20)
    assert outcome_within(most, "facegen.photos.kinds:photo_of", tmp_path / "large.png") == "read"
