"""A PNG's chunks: those of the pixels for Pillow, and what the others say, each in bounds.

Pillow refuses a whole picture for a text or a profile that unpacks to more than 1 MiB, an unknown
compression or a wrong checksum. What is no pixel is read here instead: a chunk that is damaged or
too large is left out, as libpng does, and the picture is read without it.
"""

from __future__ import annotations

import struct
import zlib
from collections import Counter
from collections.abc import Iterator
from typing import Any

SIGNATURE = b"\x89PNG\r\n\x1a\n"

MAX_PROFILE_BYTES = 16 << 20  # what is larger, unpacked, is left out
MAX_TEXT_BYTES = 1 << 20  # of one chunk: other programs, Pillow among them, read no more
MAX_TEXTS_BYTES = 16 << 20  # of all of them
MAX_TEXTS = 1000  # of each kind of chunk, of other chunks the first: to unpack takes time

_BIT_DEPTH_AT = 24
_ANIMATION = (b"acTL", b"fcTL", b"fdAT")
_XMP = "XML:com.adobe.xmp"


def is_png(data: bytes) -> bool:
    return data.startswith(SIGNATURE)


def bit_depth(data: bytes) -> int:
    """Bits of a sample, or of an index into the palette, as IHDR says: the first chunk."""
    return data[_BIT_DEPTH_AT]


def is_animated(data: bytes) -> bool:
    """Whether it is a PNG that says it is an animation, before its first pixels."""
    if not is_png(data):
        return False
    for name, _, _ in chunks(data):
        if name in (b"acTL", b"IDAT"):
            return name == b"acTL"
    return False


def pixels_only(data: bytes, animated: bool = False) -> bytes:
    """The same picture without the chunks that say nothing about its pixels.

    Of an animation that is its first picture, or all of them if `animated`.
    """
    kept, view = bytearray(SIGNATURE), memoryview(data)
    for name, start, end in chunks(data):
        critical = not name[:1].islower()
        if critical or (animated and name in _ANIMATION):
            kept += view[start - 8 : end + 4]
        elif name == b"tRNS" and (content := _content(data, name, start, end)) is not None:
            if _is_1_bit_grey(data) and len(content) == 2:
                content = bytes([0, content[1] & 1])  # Pillow asks whether any bit is set
            kept += chunk(name, content)
    return bytes(kept)


def _is_1_bit_grey(data: bytes) -> bool:
    return data[_BIT_DEPTH_AT : _BIT_DEPTH_AT + 2] == b"\1\0"  # the colour type comes next


def chunk(name: bytes, content: bytes) -> bytes:
    """With its length and its checksum."""
    checksum = zlib.crc32(name + content)
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", checksum)


def describe(data: bytes) -> dict[str, Any]:
    """What the other chunks say, under the names of Pillow's `Image.info`.

    Besides those: "cicp", the four numbers of that chunk, "text", a list of (keyword, text), and
    "iptc".
    """
    info: dict[str, Any] = {}
    texts: list[tuple[str, str]] = []
    room, seen = MAX_TEXTS_BYTES, Counter[bytes]()
    for name, start, end in chunks(data):
        if name not in _FIELDS and name not in _TEXTS:
            continue
        seen[name] += 1
        looked_at = seen[name] <= (MAX_TEXTS if name in _TEXTS else 1)
        content = _content(data, name, start, end) if looked_at else None
        if content is None:
            continue
        if name in _FIELDS:
            key, read = _FIELDS[name]
            value = read(content)
            if value is not None:
                info[key] = value
            continue
        text = _TEXTS[name](content)
        if text is not None and len(text[1]) <= room:
            room -= len(text[1])
            texts.append(text)
    for keyword, value in texts:
        if keyword == _XMP:
            info.setdefault("xmp", value.encode())
        elif keyword.startswith("Raw profile type "):  # as ImageMagick writes what has no chunk
            kind = keyword.removeprefix("Raw profile type ")
            raw = _raw_profile(value)
            if raw is not None and kind in ("exif", "iptc", "xmp"):
                info.setdefault(kind, raw)
    info["text"] = [
        (keyword, value)
        for keyword, value in texts
        if keyword != _XMP and not keyword.startswith("Raw profile type ")
    ]
    return info


def chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Name of each chunk, and where its content begins and ends; 4 bytes of checksum follow."""
    at = len(SIGNATURE)
    while at + 8 <= len(data):
        length, name = struct.unpack_from(">I4s", data, at)
        yield name, at + 8, at + 8 + length
        if name == b"IEND":
            return
        at += 12 + length


def _content(data: bytes, name: bytes, start: int, end: int) -> bytes | None:
    """A chunk's content; None where it is cut off, too large, or its checksum is wrong."""
    if end - start > MAX_PROFILE_BYTES or end + 4 > len(data):
        return None
    content = data[start:end]
    (checksum,) = struct.unpack_from(">I", data, end)
    return content if zlib.crc32(name + content) == checksum else None


def _unpacked(packed: bytes, most: int) -> bytes | None:
    unpacker = zlib.decompressobj()
    try:
        content = unpacker.decompress(packed, most + 1)
    except zlib.error:
        return None
    return content if unpacker.eof and len(content) <= most else None


def _profile(content: bytes) -> bytes | None:
    _, _, rest = content.partition(b"\0")
    return _unpacked(rest[1:], MAX_PROFILE_BYTES) if rest[:1] == b"\0" else None


def _text(content: bytes) -> tuple[str, str] | None:
    keyword, _, text = content.partition(b"\0")
    return _named(keyword, text, "latin-1")


def _packed_text(content: bytes) -> tuple[str, str] | None:
    keyword, _, rest = content.partition(b"\0")
    text = _unpacked(rest[1:], MAX_TEXT_BYTES) if rest[:1] == b"\0" else None
    return _named(keyword, text, "latin-1")


def _international_text(content: bytes) -> tuple[str, str] | None:
    keyword, _, rest = content.partition(b"\0")
    parts = rest[2:].split(b"\0", 2)  # language, translated keyword, text
    if len(rest) < 2 or len(parts) < 3:
        return None
    text: bytes | None = parts[2]
    if rest[0] != 0:  # packed, by method rest[1]
        text = _unpacked(parts[2], MAX_TEXT_BYTES) if rest[1] == 0 else None
    return _named(keyword, text, "utf-8")


def _named(keyword: bytes, text: bytes | None, encoding: str) -> tuple[str, str] | None:
    if not 1 <= len(keyword) <= 79 or text is None or len(text) > MAX_TEXT_BYTES:
        return None
    try:
        return keyword.decode("latin-1"), text.decode(encoding)
    except UnicodeDecodeError:
        return None


def _raw_profile(text: str) -> bytes | None:
    r"""The bytes that a text holds as "\nname\nlength\nhexadecimal digits in lines"."""
    try:
        return bytes.fromhex("".join(text.split("\n")[3:]))
    except ValueError:
        return None


def _numbers(content: bytes, layout: str, factor: float) -> tuple[float, ...] | None:
    if len(content) != struct.calcsize(layout):
        return None
    return tuple(number * factor for number in struct.unpack(layout, content))


def _gamma(content: bytes) -> float | None:
    numbers = _numbers(content, ">I", 1e-5)
    return None if numbers is None else numbers[0]


def _resolution(content: bytes) -> tuple[float, float] | None:
    if len(content) != 9 or content[8] != 1:  # 1: a metre
        return None
    x, y = struct.unpack_from(">II", content)
    return x * 0.0254, y * 0.0254


_TEXTS = {b"tEXt": _text, b"zTXt": _packed_text, b"iTXt": _international_text}
_FIELDS: dict[bytes, tuple[str, Any]] = {
    b"iCCP": ("icc_profile", _profile),
    b"cICP": ("cicp", lambda content: tuple(content) if len(content) == 4 else None),
    b"sRGB": ("srgb", lambda content: content[0] if len(content) == 1 else None),
    b"gAMA": ("gamma", _gamma),
    b"cHRM": ("chromaticity", lambda content: _numbers(content, ">8I", 1e-5)),
    b"eXIf": ("exif", lambda content: content),
    b"pHYs": ("dpi", _resolution),
}
