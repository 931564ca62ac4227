"""What files say besides their pixels: kept, upright, and never the end of a picture."""

from __future__ import annotations

import contextlib
import io
import random
import struct

import numpy as np
import pytest
from PIL import Image, PngImagePlugin
from PIL.TiffImagePlugin import IFDRational

from facegen.errors import FormatError
from facegen.photos.encode import WRITABLE, encode
from facegen.photos.metadata import Metadata
from facegen.photos.photo import decode
from files import chunk, encoded, pixels, with_chunks

pytestmark = [  # of damaged tags
    pytest.mark.filterwarnings("ignore::UserWarning:PIL"),
    pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning"),
]

RGB = pixels(11, 6)
ORIENTATION, MAKER, TIME, EXIF, GPS, EXPOSURE, LATITUDE = (
    0x0112, 0x010F, 0x0132, 0x8769, 0x8825, 0x829A, 2,
)  # fmt: skip
XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6">'
    b"<dc:subject><rdf:li>grandmother</rdf:li></dc:subject></rdf:Description></x:xmpmeta>"
)
IPTC = b"\x1c\x02\x19\x00\x0bgrandmother"  # the keyword's record


def exif(orientation: int = 6) -> Image.Exif:
    tags = Image.Exif()
    tags[ORIENTATION] = orientation
    tags[MAKER] = "Box Brownie"
    tags[TIME] = "1931:05:17 12:00:00"
    tags[EXIF] = {EXPOSURE: IFDRational(1, 50)}
    tags[GPS] = {1: "N", LATITUDE: (52.0, 31.0, 12.0)}
    as_read = Image.Exif()  # as Pillow wants it for TIFFs
    as_read.load(tags.tobytes())
    return as_read


def photoshop() -> bytes:
    record = b"8BIM" + struct.pack(">HHI", 0x0404, 0, len(IPTC)) + IPTC + b"\0" * (len(IPTC) % 2)
    content = b"Photoshop 3.0\0" + record
    return b"\xff\xed" + struct.pack(">H", len(content) + 2) + content


def original(kind: str) -> bytes:
    """A picture that lies on its side and says all that its format can say."""
    said = {"exif": exif(), "dpi": (300, 300)}
    if kind == "JPEG":
        said |= {"xmp": XMP, "comment": b"in the garden", "extra": photoshop()}
        said |= {"quality": 100, "subsampling": 0}
    elif kind == "PNG":
        texts = PngImagePlugin.PngInfo()
        texts.add_text("Author", "a neighbour")
        texts.add_itxt("Title", "Großmutter", zip=True)
        texts.add_itxt("XML:com.adobe.xmp", XMP.decode())
        said["pnginfo"] = texts
    elif kind == "WEBP":
        said = {"exif": exif(), "xmp": XMP, "lossless": True}
    elif kind == "TIFF":
        tags = exif()
        tags[700], tags[33723] = XMP, IPTC
        said["exif"] = tags
    return encoded(Image.fromarray(RGB), kind, **said)


def again(photo_metadata: Metadata, extension: str) -> tuple[Image.Image, bytes]:
    data = encode(np.rot90(RGB, -1).copy(), f"a{extension}", metadata=photo_metadata)
    return Image.open(io.BytesIO(data)), data


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("extension", [".jpg", ".png", ".webp", ".tiff"])
def test_what_a_picture_says_is_kept(kind: str, extension: str) -> None:
    photo = decode(original(kind))
    assert np.abs(photo.pixels.astype(int) - np.rot90(RGB, -1)).mean() < 2
    image, data = again(photo.metadata, extension)
    tags = image.getexif()
    assert tags.get(ORIENTATION, 1) == 1  # XMP's, where there is one
    assert tags[MAKER] == "Box Brownie" and tags[TIME] == "1931:05:17 12:00:00"
    assert tags.get_ifd(EXIF)[EXPOSURE] == 0.02
    assert tags.get_ifd(GPS)[LATITUDE] == (52.0, 31.0, 12.0)
    image.load()
    xmp = decode(data).metadata.xmp
    assert xmp == XMP.replace(b'Orientation="6"', b'Orientation="1"')
    if kind != "WEBP" and extension != ".webp":
        np.testing.assert_allclose([float(x) for x in image.info["dpi"]], (300, 300), atol=0.5)
    if kind in ("JPEG", "TIFF") and extension != ".webp":
        assert decode(data).metadata.iptc == IPTC
    if kind == "JPEG" and extension in (".jpg", ".png"):
        comment = image.info["comment" if extension == ".jpg" else "Comment"]
        assert comment in (b"in the garden", "in the garden")
    if kind == "PNG" and extension == ".png":
        assert image.text["Author"] == "a neighbour" and image.text["Title"] == "Großmutter"
    assert decode(data).pixels.shape == photo.pixels.shape  # not turned once more


def test_exif_stays_as_it_is_but_for_orientation_and_thumbnail() -> None:
    block = struct.pack("<2sHI", b"II", 42, 8) + struct.pack("<H", 2)
    block += struct.pack("<HHIHH", ORIENTATION, 3, 1, 8, 0)
    block += struct.pack("<HHII", 0x927C, 7, 8, 38) + struct.pack("<I", 46) + b"private!"
    block += b"thumbnail"
    photo = decode(encoded(Image.fromarray(RGB), "PNG", exif=b"Exif\0\0" + block))
    np.testing.assert_array_equal(photo.pixels, np.rot90(RGB))
    assert photo.metadata.exif == block[:8] + b"\1\0" + block[22:34] + bytes(16) + block[38:]


def test_a_bmp_keeps_its_resolution() -> None:
    image, _ = again(decode(original("PNG")).metadata, ".bmp")
    np.testing.assert_allclose(image.info["dpi"], (300, 300), atol=0.5)


def test_without_metadata_nothing_is_said() -> None:
    photo = decode(original("JPEG"))
    image = Image.open(io.BytesIO(encode(photo.pixels, "a.png", photo.alpha, photo.profile)))
    image.load()
    assert image.info == {}


@pytest.mark.parametrize("extension", [".jpg", ".png", ".webp", ".tiff", ".bmp"])
def test_what_is_too_long_for_a_format_is_left_out(extension: str) -> None:
    large = Metadata(xmp=XMP, exif=exif().tobytes()[6:] + bytes(70_000), comment=b"x" * 70_000)
    _, data = again(large, extension)
    found = decode(data).metadata
    assert found.xmp == (None if extension == ".bmp" else XMP.replace(b'"6"', b'"1"'))
    assert (found.exif is None) == (extension in (".jpg", ".bmp"))


@pytest.mark.parametrize("dots", [(0, 0), (1, 1), (2835, 0), (1 << 31, 1 << 31)])
def test_an_odd_resolution_is_none(dots: tuple[int, int]) -> None:
    """Dots a metre."""
    resolution = chunk(b"pHYs", struct.pack(">IIB", *dots, 1))
    data = with_chunks(encoded(Image.fromarray(RGB), "PNG"), resolution)
    assert decode(data).metadata.dpi is None


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_of_tiffs(orientation: int) -> None:
    turned = {
        1: RGB, 2: RGB[:, ::-1], 3: RGB[::-1, ::-1], 4: RGB[::-1], 5: RGB.swapaxes(0, 1),
        6: np.rot90(RGB, -1), 7: RGB.swapaxes(0, 1)[::-1, ::-1], 8: np.rot90(RGB),
    }[orientation]  # fmt: skip
    alone = Image.Exif()
    alone[ORIENTATION] = orientation
    for options in ({"exif": exif(orientation)}, {"exif": alone, "compression": "tiff_lzw"}):
        data = encoded(Image.fromarray(RGB), "TIFF", **options)
        np.testing.assert_array_equal(decode(data).pixels, turned)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("block", [b"hello world, this is no exif", b"\0\x08junk", b"II*\0", b""])
def test_exif_that_is_none(kind: str, block: bytes) -> None:
    data = encoded(Image.fromarray(RGB), kind, exif=b"Exif\0\0" + block)
    photo = decode(data)
    assert photo.pixels.shape == RGB.shape and photo.metadata.exif is None


def damaged(data: bytes, chance: random.Random, first: int = 0) -> bytes:
    changed = bytearray(data)
    for _ in range(chance.randint(1, 8)):
        changed[chance.randrange(first, len(changed))] = chance.choice((0, 1, 5, 127, 255))
    return bytes(changed)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF"])
def test_damaged_exif_never_loses_the_picture(kind: str) -> None:
    chance = random.Random(kind)
    image, block = Image.fromarray(pixels(16, 16)), exif(1).tobytes()
    avif = encoded(image, "AVIF", exif=block)
    within = block[6:]
    if kind == "AVIF":
        place = avif.index(b"MM\0*")  # as Pillow writes it, without the orientation's 12 bytes
        within = avif[place : place + len(within) - 12]
    for _ in range(150):
        changed = damaged(within, chance)
        if kind == "AVIF":
            data = avif.replace(within, changed)
        else:
            data = encoded(image, kind, exif=b"Exif\0\0" + changed)
        photo = decode(data)
        assert photo.pixels.shape == (16, 16, 3)
        for extension in WRITABLE:
            encode(photo.pixels, f"a{extension}", metadata=photo.metadata)


@pytest.mark.parametrize("seed", range(3))
def test_a_damaged_tiff_is_an_error_or_a_picture(seed: int) -> None:
    chance = random.Random(seed)
    whole = original("TIFF")
    for _ in range(150):
        with contextlib.suppress(FormatError):
            photo = decode(damaged(whole, chance))
            again = encode(photo.pixels, "a.tiff", metadata=photo.metadata)
            np.testing.assert_array_equal(decode(again).pixels, photo.pixels)


def test_entries_that_share_their_values_take_no_more_than_they_may() -> None:
    """65,000 of them that name the same megabyte."""
    count, start = 65_000, 26
    inner_at = start
    table = b"".join(
        struct.pack("<HHII", tag, 7, 1 << 20, inner_at + 2 + 12 * count + 4)
        for tag in range(1, count + 1)
    )
    inner = struct.pack("<H", count) + table + bytes(4) + bytes(1 << 20)
    head = struct.pack("<2sHI", b"II", 42, 8) + struct.pack("<H", 1)
    block = head + struct.pack("<HHII", EXIF, 4, 1, inner_at) + bytes(4) + inner
    data = encode(RGB, "a.tiff", metadata=Metadata(exif=block))
    assert len(data) < 20 << 20
    np.testing.assert_array_equal(decode(data).pixels, RGB)
