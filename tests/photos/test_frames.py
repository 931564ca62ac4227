"""Pages and animations: read whole, one at a time, and written as one file."""

from __future__ import annotations

import io
import re
import struct
import zlib
from collections.abc import Sequence
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from facegen import FormatError
from facegen.photos import frames as frames_module
from facegen.photos.frames import Frames, frames
from facegen.photos.joined import Picture, holds, writer
from facegen.photos.metadata import Metadata
from facegen.photos.photo import decode
from files import encoded, pixels, png, srgb_profile

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL")
PAGES = [pixels(11 + i, 6 + 2 * i, seed=i) for i in range(3)]
SHOWN = [40, 100, 250]


def several(kind: str, pictures: Sequence[Image.Image], **options: object) -> bytes:
    first, *others = pictures
    return encoded(first, kind, save_all=True, append_images=others, **options)


def moving(alpha: bool = False) -> list[Image.Image]:
    """A square that goes over a ground, which encoders store as a part of the picture."""
    made = []
    for i in range(3):
        picture = np.zeros((20, 30, 4), np.uint8)
        picture[..., 1:3], picture[..., 3] = 80, 0 if alpha else 255
        picture[5:10, 4 + 6 * i : 12 + 6 * i] = 200, 40 * i, 10, 255
        made.append(Image.fromarray(picture if alpha else picture[..., :3].copy()))
    return made


def found(data: bytes, keep_depth: bool = False) -> Frames:
    several = frames(data, keep_depth)
    assert several is not None
    return several


def joined(
    extension: str, pictures: Sequence[Picture], shown: Sequence[int], plays: int | None
) -> bytes:
    file = io.BytesIO()
    made = writer(extension, file, len(pictures), plays)
    for picture, milliseconds in zip(pictures, shown, strict=True):
        made.add(picture, milliseconds)
    made.end()
    return file.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP", "TIFF", "BMP"])
def test_a_single_picture_is_none_of_several(kind: str) -> None:
    assert frames(encoded(Image.fromarray(PAGES[0]), kind)) is None


@pytest.mark.parametrize("big", [False, True])
def test_pages(big: bool) -> None:
    """Of different sizes and modes."""
    pictures = [Image.fromarray(page) for page in PAGES]
    pictures[1] = pictures[1].convert("1")
    document = found(several("TIFF", pictures, big_tiff=big))
    assert (document.count, document.plays, document.name) == (3, None, "page")
    for frame, picture in zip(document, pictures, strict=True):
        np.testing.assert_array_equal(frame.photo.pixels, np.asarray(picture.convert("RGB")))


def test_pages_have_their_own_orientation_depth_and_metadata() -> None:
    deep = np.arange(66, dtype=np.uint16).reshape(11, 6) * 900
    turned = Image.Exif()
    turned[274], turned[270] = 6, "the second"
    file = io.BytesIO()
    first, second = encoded(Image.fromarray(deep), "TIFF"), Image.fromarray(PAGES[1])
    Image.open(io.BytesIO(first)).save(
        file, "TIFF", save_all=True, append_images=[second], dpi=(300, 300)
    )
    one, two = found(file.getvalue(), keep_depth=True)
    np.testing.assert_array_equal(one.photo.deep, deep)
    assert two.photo.deep is None
    np.testing.assert_array_equal(two.photo.pixels, PAGES[1])
    assert one.photo.metadata.dpi == (300, 300)


def test_thumbnails_and_masks_are_no_pages() -> None:
    data = bytearray(several("TIFF", [Image.fromarray(page) for page in PAGES]))
    document = found(bytes(data))
    at = document._pages[1]
    (count,) = struct.unpack_from("<H", data, at)
    assert count >= 8
    data[at + 2 : at + 14] = struct.pack("<HHII", 254, 4, 1, 1)  # in place of the width: unread
    assert [frame.photo.pixels.shape for frame in found(bytes(data))] == [
        PAGES[0].shape,
        PAGES[2].shape,
    ]


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
@pytest.mark.parametrize("alpha", [False, True])
def test_frames_come_whole(kind: str, alpha: bool) -> None:
    """Whatever is stored of them, as a viewer shows them."""
    pictures = moving(alpha)
    options = {"lossless": True} if kind == "WEBP" else {"disposal": 2 if alpha else 0}
    data = several(kind, pictures, duration=SHOWN, loop=3, **options)
    animation = found(data)
    assert (animation.count, animation.name) == (3, "frame")
    assert animation.plays == (4 if kind == "GIF" else 3)  # a GIF says how often it is repeated
    for frame, picture, shown in zip(animation, pictures, SHOWN, strict=True):
        assert frame.milliseconds == shown
        values = np.asarray(picture)
        if alpha:
            np.testing.assert_array_equal(frame.photo.alpha, values[..., 3])
            there = values[..., 3] == 255
            np.testing.assert_array_equal(frame.photo.pixels[there], values[there][:, :3])
        else:
            assert frame.photo.alpha is None
            np.testing.assert_array_equal(frame.photo.pixels, values)


def test_a_png_whose_picture_for_other_readers_is_no_frame() -> None:
    cover = Image.new("RGB", (30, 20), "white")
    data = encoded(
        cover, "PNG", save_all=True, append_images=moving(), default_image=True, duration=SHOWN
    )
    animation = found(data)
    assert animation.count == 3
    shown = [frame.photo.pixels for frame in animation]
    np.testing.assert_array_equal(shown[0], np.asarray(moving()[0]))
    np.testing.assert_array_equal(decode(data).pixels, np.asarray(cover))


def test_a_gif_that_is_shown_once() -> None:
    assert found(several("GIF", moving(), duration=50)).plays == 1


@pytest.mark.parametrize("extension", [".tif", ".png", ".gif", ".webp"])
@pytest.mark.parametrize("plays", [0, 1, 5])
@pytest.mark.parametrize("alpha", [False, True])
def test_what_is_written_is_read_again(extension: str, plays: int, alpha: bool) -> None:
    assert holds(extension, plays)
    pictures = []
    for image in moving(alpha):
        values = np.asarray(image)
        opacity = values[..., 3].copy() if alpha else None
        pictures.append(Picture(values[..., :3].copy(), opacity, None, Metadata(dpi=(300, 300))))
    data = joined(extension, pictures, SHOWN, plays)
    again = found(data)
    assert (again.count, again.plays) == (3, None if extension == ".tif" else plays)
    for frame, picture, shown in zip(again, pictures, SHOWN, strict=True):
        assert frame.milliseconds == (0 if extension == ".tif" else shown)
        there = np.full((20, 30), True) if picture.alpha is None else picture.alpha == 255
        alone = decode(picture.encoded(f"a{extension}"))  # WebP loses something of it
        np.testing.assert_array_equal(frame.photo.pixels[there], alone.pixels[there])
        if extension != ".webp":
            np.testing.assert_array_equal(frame.photo.pixels[there], picture.pixels[there])
        opacity = np.full((20, 30), 255) if frame.photo.alpha is None else frame.photo.alpha
        np.testing.assert_array_equal(opacity, 255 if picture.alpha is None else picture.alpha)
    if extension in (".tif", ".png"):
        dpi = next(iter(again)).photo.metadata.dpi
        assert dpi is not None and dpi[0] == pytest.approx(300, abs=0.01)


@settings(max_examples=25, deadline=None)
@given(
    extension=st.sampled_from([".tif", ".png", ".gif", ".webp"]),
    size=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    shown=st.lists(st.integers(0, 6553).map(lambda n: 10 * n), min_size=2, max_size=5),
    seed=st.integers(0, 9),
)
def test_of_any_size_and_number(
    extension: str, size: tuple[int, int], shown: list[int], seed: int
) -> None:
    pictures = [Picture(pixels(*size, seed=seed + i)) for i in range(len(shown))]
    again = list(found(joined(extension, pictures, shown, 0)))
    assert [frame.photo.pixels.shape[:2] for frame in again] == [size] * len(shown)
    if extension != ".tif":
        assert [frame.milliseconds for frame in again] == shown


def test_pages_of_other_sizes_and_depths_are_written() -> None:
    deep = PAGES[1].astype(np.uint16) * 257
    pictures = [Picture(PAGES[0]), Picture(deep), Picture(PAGES[2], None, srgb_profile())]
    one, two, three = found(joined(".tiff", pictures, [0] * 3, None), keep_depth=True)
    np.testing.assert_array_equal(one.photo.pixels, PAGES[0])
    np.testing.assert_array_equal(two.photo.deep, deep)
    np.testing.assert_array_equal(three.photo.pixels, PAGES[2])
    assert three.photo.profile == srgb_profile()


def test_pages_are_no_animation() -> None:
    for extension in (".png", ".webp", ".gif", ".jpg", ".bmp"):
        assert not holds(extension, None)
    assert not holds(".jpg", 0)
    with pytest.raises(FormatError, match="a frame of 8 x 12 pixels"):
        joined(".png", [Picture(page) for page in PAGES], SHOWN, 0)


def test_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames_module, "MOST", 2)
    for kind in ("TIFF", "GIF", "PNG", "WEBP"):
        with pytest.raises(FormatError, match="3 pictures in a file, of which 2 are read at"):
            frames(several(kind, moving(), duration=50))


def test_more_frames_announced_than_there_are() -> None:
    data = bytearray(several("PNG", moving(), duration=50))
    at = data.index(b"acTL") + 4
    for count, message in ((9, "frame 4 of 9: "), (1_000_000, "1,000,000 pictures in a file")):
        body = b"acTL" + struct.pack(">II", count, 0)
        data[at - 4 : at + 12] = body + struct.pack(">I", zlib.crc32(body))
        with pytest.raises(FormatError, match=message):
            list(found(bytes(data)))


def test_chains_of_pages_that_lead_nowhere() -> None:
    data = bytearray(several("TIFF", [Image.fromarray(page) for page in PAGES]))
    at = found(bytes(data))._pages[1]
    (count,) = struct.unpack_from("<H", data, at)
    following = at + 2 + 12 * count
    struct.pack_into("<I", data, following, len(data) - 1)
    with pytest.raises(FormatError, match="page 3 lies outside of the file; --frames first"):
        frames(bytes(data))
    struct.pack_into("<I", data, following, at)
    with pytest.raises(FormatError, match="its pages do not end: after 2 they begin anew"):
        frames(bytes(data))
    np.testing.assert_array_equal(decode(bytes(data)).pixels, PAGES[0])  # the first is as it was


def test_a_page_above_the_limit_of_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    data = several("TIFF", [Image.fromarray(page) for page in PAGES])
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 11 * 6)
    monkeypatch.setattr("warnings.warn", lambda *arguments, **options: None)
    with pytest.raises(FormatError, match="page 2 of 3: 8 x 12 pixels, more than the limit of 66"):
        list(found(data))


@pytest.mark.parametrize("kind", ["TIFF", "GIF", "PNG", "WEBP"])
def test_truncated(kind: str) -> None:
    data = several(kind, moving(), duration=50)
    for length in (len(data) // 3, len(data) // 2, len(data) - 40):
        try:
            several_pictures = frames(data[:length])
        except FormatError:
            continue
        if several_pictures is not None and kind != "GIF":  # a GIF has as many as are there
            with pytest.raises(FormatError):
                list(several_pictures)


def test_a_gif_that_is_cut_short_is_refused_in_own_words() -> None:
    """Wherever that is: between blocks, in one of them, in a palette."""
    data = several("GIF", [Image.fromarray(pixels(9, 7, seed=seed)) for seed in (1, 2)])
    damaged = r"(frame \d of \d: )?cannot be decoded: it is damaged, or cut short"
    for length in range(6, len(data)):
        try:
            several_pictures = frames(data[:length])
            _ = decode(data[:length]) if several_pictures is None else list(several_pictures)
        except FormatError as error:
            said = str(error)
            assert re.fullmatch(damaged, said) or said.startswith("not a picture"), said


@settings(max_examples=80, deadline=None)
@given(
    kind=st.sampled_from(["TIFF", "GIF", "PNG", "WEBP"]),
    place=st.floats(0, 1, exclude_max=True),
    value=st.integers(0, 255),
)
def test_a_damaged_byte_is_an_error_or_pictures(kind: str, place: float, value: int) -> None:
    data = bytearray(several(kind, moving(), duration=50))
    data[int(place * len(data))] = value
    with suppress(FormatError):
        for frame in frames(bytes(data)) or ():
            assert frame.photo.pixels.ndim == 3


def test_what_is_no_picture() -> None:
    for data in (b"", b"GIF89a", b"II*\0", png()[:50], b"RIFF\0\0\0\0WEBP"):
        with suppress(FormatError):
            assert frames(data) is None
