"""What a picture's file says besides its pixels, and how results say it too.

Results are upright, so EXIF's orientation is taken out, and XMP's becomes 1; EXIF's thumbnail,
which shows the picture as it was, is unlinked. Else bytes stay as they are. What a format has no
place for is left out.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from PIL import Image, PngImagePlugin

from facegen.photos.tiff_tags import (
    BYTES,
    EXIF_DIRECTORY,
    GPS_DIRECTORY,
    IPTC,
    ORIENTATION,
    XMP,
    Field,
    fields,
    first_directory,
    packed,
)

MAX_EXIF_BYTES = 16 << 20  # what is larger is left out
MAX_XMP_BYTES = 1 << 20  # as any text of a PNG
MAX_BYTES = 1 << 18  # of keywords, which a PNG's text has as digits, and of a comment

_EXIF = b"Exif\0\0"
_XMP_ORIENTATION = re.compile(rb"""(tiff:Orientation(?:\s*=\s*["']|>)\s*)([1-8])""")
_IPTC_RECORD = 0x0404  # in Photoshop's block
_MAX_SEGMENT = 65_000  # of a JPEG's segment, with some room for its name

# TIFF's tags that say something about the picture but not how its pixels are stored: title,
# camera, program, time, author, host, copyright, Windows' title, comment, author, keywords and
# subject; and EXIF's directories.
_DESCRIPTIVE = (
    *(270, 271, 272, 305, 306, 315, 316, 33432, 40091, 40092, 40093, 40094, 40095),
    *(EXIF_DIRECTORY, GPS_DIRECTORY),
)


@dataclass(frozen=True)
class Metadata:
    """What a file says besides its pixels, for its results to say too.

    Attributes
    ----------
    exif
        A TIFF structure, upright and without a thumbnail.
    xmp
        An XML document, upright.
    iptc
        Title, keywords and the like (IIM), as Photoshop's block and TIFF have them.
    dpi
        Pixels an inch, horizontally and vertically.
    comment
        Of a JPEG or GIF.
    text
        Keywords and texts of a PNG.
    """

    exif: bytes | None = None
    xmp: bytes | None = None
    iptc: bytes | None = None
    dpi: tuple[float, float] | None = None
    comment: bytes | None = None
    text: tuple[tuple[str, str], ...] = ()


def orientation(info: Mapping[str, Any]) -> int:
    """The orientation, 1 to 8, by EXIF or else XMP; 1 where neither says it, or it is damaged."""
    exif = _exif(info)
    directory = first_directory(exif)
    found = None if directory is None else directory.number(exif, ORIENTATION)
    if found is None:
        match = _XMP_ORIENTATION.search(_bytes(info.get("xmp"), MAX_XMP_BYTES))
        found = None if match is None else int(match[2])
    return found if found is not None and 1 <= found <= 8 else 1


def orientation_of_image(image: Image.Image) -> int:
    """The orientation of an image that Pillow has loaded, in which it may have been changed."""
    try:
        found = image.getexif().get(ORIENTATION)
    except Exception:  # Pillow's reader of tags raises whatever damage leads to
        return 1
    return found if isinstance(found, int) and 1 <= found <= 8 else 1


def read(info: Mapping[str, Any]) -> Metadata:
    """What `Image.info` says, with "iptc" and "text" as `png_chunks.describe` has them."""
    photoshop = info.get("photoshop")
    iptc = info.get("iptc") or (photoshop.get(_IPTC_RECORD) if isinstance(photoshop, dict) else b"")
    xmp = _bytes(info.get("xmp"), MAX_XMP_BYTES)
    return Metadata(
        _upright_exif(_exif(info)),
        _XMP_ORIENTATION.sub(rb"\g<1>1", xmp) or None,
        _bytes(iptc) or None,
        _dpi(info.get("dpi")),
        _bytes(info.get("comment")) or None,
        tuple(info.get("text", ())),
    )


def of_tiff(data: bytes) -> dict[str, Any]:
    """EXIF, XMP, IPTC and the orientation of a TIFF, whose own entries they are."""
    directory = first_directory(data)
    if directory is None:
        return {}
    order, tags = directory.order, (*_DESCRIPTIVE, ORIENTATION)
    content = packed(fields(data, directory, order, tags, MAX_EXIF_BYTES), 8, order)
    head = b"II*\0" if order == "<" else b"MM\0*"
    return {
        "exif": head + struct.pack(order + "I", 8) + content,
        "xmp": directory.content(data, XMP),
        "iptc": directory.content(data, IPTC),
    }


def tiff_fields(metadata: Metadata, order: str) -> list[Field]:
    """The entries of a TIFF in some byte order that say it, but for the resolution."""
    exif = metadata.exif or b""
    described = first_directory(exif)
    found = [Field(tag, BYTES, c) for tag, c in ((XMP, metadata.xmp), (IPTC, metadata.iptc)) if c]
    if described is not None:
        found += fields(exif, described, order, _DESCRIPTIVE, MAX_EXIF_BYTES)
    return found


def options(metadata: Metadata, kind: str) -> dict[str, Any]:
    """What `Image.save` takes to write metadata in a format."""
    found = _OPTIONS[kind](metadata) if kind in _OPTIONS else {}
    if metadata.dpi is not None and kind != "WEBP":
        found["dpi"] = metadata.dpi
    return found


def _exif(info: Mapping[str, Any]) -> bytes:
    return _bytes(info.get("exif"), MAX_EXIF_BYTES).removeprefix(_EXIF)


def _bytes(value: Any, most: int = MAX_BYTES) -> bytes:
    """What a damaged or strange file has in its place is nothing."""
    if isinstance(value, str):
        value = value.encode("utf-8", "replace")
    return value if isinstance(value, bytes) and len(value) <= most else b""


def _upright_exif(exif: bytes) -> bytes | None:
    directory = first_directory(exif)
    if directory is None:
        return None
    data = bytearray(exif)
    directory.end_here(data)
    if ORIENTATION in directory.entries:
        directory.remove(data, ORIENTATION)
    return bytes(data)


def _dpi(dpi: Any) -> tuple[float, float] | None:
    try:
        x, y = (float(value) for value in dpi)
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    if not all(math.isfinite(value) and 1 < value <= 65_535 for value in (x, y)):
        return None  # 1 stands for none
    return x, y


def _jpeg(metadata: Metadata) -> dict[str, Any]:
    """Each goes into one segment."""
    photoshop = b""
    if metadata.iptc is not None:
        size = len(metadata.iptc)
        record = struct.pack(">4sHHI", b"8BIM", _IPTC_RECORD, 0, size) + metadata.iptc
        photoshop = b"Photoshop 3.0\0" + record + bytes(size % 2)
    found = {
        "exif": _EXIF + metadata.exif if metadata.exif else None,
        "xmp": metadata.xmp,
        "comment": metadata.comment,
        "extra": photoshop,
    }
    found = {name: value for name, value in found.items() if value and len(value) <= _MAX_SEGMENT}
    if "extra" in found:
        found["extra"] = b"\xff\xed" + struct.pack(">H", len(photoshop) + 2) + photoshop
    return found


def _png(metadata: Metadata) -> dict[str, Any]:
    chunks = PngImagePlugin.PngInfo()
    for keyword, text in metadata.text:
        if text.isascii():
            chunks.add_text(keyword, text, zip=len(text) > 1024)
        else:
            chunks.add_itxt(keyword, text, zip=len(text) > 1024)
    if metadata.comment and not any(keyword == "Comment" for keyword, _ in metadata.text):
        chunks.add_itxt("Comment", metadata.comment.decode("utf-8", "replace"))
    if metadata.xmp:
        chunks.add_itxt("XML:com.adobe.xmp", metadata.xmp.decode("utf-8", "replace"))
    if metadata.iptc:
        digits = metadata.iptc.hex()
        lines = "\n".join(digits[at : at + 72] for at in range(0, len(digits), 72))
        chunks.add_text("Raw profile type iptc", f"\niptc\n{len(metadata.iptc):8}\n{lines}\n", True)
    return {"pnginfo": chunks} | ({"exif": metadata.exif} if metadata.exif else {})


def _webp(metadata: Metadata) -> dict[str, Any]:
    found = {"exif": metadata.exif, "xmp": metadata.xmp}
    return {name: value for name, value in found.items() if value}


_OPTIONS: dict[str, Callable[[Metadata], dict[str, Any]]] = {
    "JPEG": _jpeg,
    "PNG": _png,
    "WEBP": _webp,
}
