"""TIFFs as Pillow reads them right: what it refuses a picture for, or forgets, is taken over here.

Pillow reads 16-bit greys whose least value is white as if it were black, or not at all, and takes
12-bit ones for 16-bit ones. It also turns a TIFF upright itself, for which it must understand all
that EXIF says.
"""

from __future__ import annotations

from typing import Any

from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile

from facegen.photos import metadata
from facegen.photos.tiff_tags import (
    BITS_PER_SAMPLE,
    EXIF_DIRECTORY,
    GPS_DIRECTORY,
    IPTC,
    ORIENTATION,
    PHOTOMETRIC,
    SAMPLES_PER_PIXEL,
    XMP,
    Directory,
    first_directory,
)

_MIN_IS_WHITE, _MIN_IS_BLACK = 0, 1


def pixels_only(data: bytes) -> bytes:
    """The same picture without EXIF and XMP, as it is stored: not turned, greys in their values."""
    directory = first_directory(data)
    if directory is None:
        return data
    patched = bytearray(data)
    for tag in (ORIENTATION, EXIF_DIRECTORY, GPS_DIRECTORY, XMP, IPTC):
        directory.hide(patched, tag)
    if directory.number(data, PHOTOMETRIC) == _MIN_IS_WHITE and _deep_bits(data, directory):
        directory.set_number(patched, PHOTOMETRIC, _MIN_IS_BLACK)
    return bytes(patched)


def describe(data: bytes) -> dict[str, Any]:
    """What `metadata.of_tiff` says; of deep greys also "most" (a value) and "min_is_white"."""
    info = metadata.of_tiff(data)
    directory = first_directory(data)
    bits = None if directory is None else _deep_bits(data, directory)
    if directory is not None and bits is not None:
        info |= _deep_grey(bits, directory.number(data, PHOTOMETRIC))
    return info


def of_image(image: Image.Image) -> dict[str, Any]:
    """What `describe` says of the pixels, for an image that Pillow has opened by itself."""
    if not isinstance(image, TiffImageFile) or not image.mode.startswith("I;16"):
        return {}
    bits = image.tag_v2.get(BITS_PER_SAMPLE, (16,))[0]
    return _deep_grey(bits, image.tag_v2.get(PHOTOMETRIC, _MIN_IS_WHITE))


def _deep_grey(bits: int, photometric: int | None) -> dict[str, Any]:
    return {"most": (1 << bits) - 1, "min_is_white": photometric == _MIN_IS_WHITE}


def _deep_bits(data: bytes, directory: Directory) -> int | None:
    """Bits of a deep grey: 12 or 16, since Pillow reads no others between 8 and 32. Else None."""
    bits = directory.number(data, BITS_PER_SAMPLE)
    grey = directory.number(data, SAMPLES_PER_PIXEL) in (None, 1)
    return bits if grey and bits in (12, 16) else None
