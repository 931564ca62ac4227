"""HEIC and HEIF, the pictures of phones: read by pillow-heif where it is installed."""

from __future__ import annotations

import io
from importlib.util import find_spec

from PIL import Image

from facegen import extras
from facegen.errors import FormatError

EXTENSIONS = frozenset({".heic", ".heics", ".heif", ".heifs", ".hif"})

# What a file may be read as, by its first box. AVIF is of the same family; Pillow reads it.
_HEIF = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"})
_AVIF = frozenset({b"avif", b"avis"})
_LONGEST_BOX = 256  # bytes of the first box that are looked at


def installed() -> bool:
    return find_spec("pillow_heif") is not None


def is_heif(data: bytes) -> bool:
    """Whether it is HEIF by its content, of which the first bytes are enough."""
    if data[4:8] != b"ftyp":
        return False
    end = min(int.from_bytes(data[:4], "big"), _LONGEST_BOX)
    brands = {data[8:12], *(data[i : i + 4] for i in range(16, end, 4))}
    return not brands.isdisjoint(_HEIF) and brands.isdisjoint(_AVIF)


def opened(data: bytes) -> Image.Image:
    """The picture, not decoded yet; its orientation is applied when it is.

    The plugin is used directly: registered with Pillow, it would change what others read.

    Raises
    ------
    FormatError
        pillow-heif is not installed.
    """
    if not installed():
        raise FormatError(f"HEIC needs pillow-heif, which is missing: {extras.install('heif')}")
    from pillow_heif import HeifImageFile

    image: Image.Image = HeifImageFile(io.BytesIO(data))
    return image
