"""What an AVIF file says of its colours where it has no ICC profile; Pillow does not tell."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

from facegen.photos import heif

# The way to the pictures' properties (ISO/IEC 23008-12), and what stands before a box's children.
_WAY = ((b"meta", 4), (b"iprp", 0), (b"ipco", 0))
_MOST_PROPERTIES = 1000  # that are looked at


def is_avif(data: bytes) -> bool:
    return data[4:8] == b"ftyp" and not heif.is_heif(data)


def describe(data: bytes) -> dict[str, Any]:
    """ "nclx_profile" as pillow-heif gives it for HEIC, where all pictures in the file agree on it.

    Besides the picture itself there are its tiles, its thumbnail and perhaps a gain map.
    """
    start, end = 0, len(data)
    for name, head in _WAY:
        inner = next((place for box, *place in _boxes(data, start, end) if box == name), None)
        if inner is None:
            return {}
        start, end = inner[0] + head, inner[1]
    found = {
        struct.unpack_from(">HH", data, at + 4)
        for box, at, stop in _boxes(data, start, end)
        if box == b"colr" and data[at : at + 4] == b"nclx" and stop - at >= 8
    }
    if len(found) != 1:
        return {}
    primaries, transfer = found.pop()
    return {
        "nclx_profile": {"color_primaries": primaries, "transfer_characteristics": transfer}
    }


def _boxes(data: bytes, at: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """The name of each box, and where its content begins and ends, up to a box of a 64-bit size."""
    for _ in range(_MOST_PROPERTIES):
        if at + 8 > end:
            return
        size, name = struct.unpack_from(">I4s", data, at)
        if size < 8 or at + size > end:
            return
        yield name, at + 8, at + size
        at += size
