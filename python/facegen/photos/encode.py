"""Pixels written as a picture file: the way back from a `Photo`."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from facegen.colour import profiles
from facegen.errors import FormatError
from facegen.photos import deep_png, gif, tiff_writer
from facegen.photos import metadata as metadata_of_files
from facegen.photos.metadata import Metadata
from facegen.photos.transparency import on_white

# PNG's lowest level takes half the time of the usual one and 15% more bytes (24 megapixels, noise).
_PNG = {"compress_level": 1}
_JPEG = {"quality": 95, "subsampling": 0}
_WEBP = {"quality": 95, "method": 2}


@dataclass(frozen=True)
class _Format:
    """What is written: Pillow's name of it, what it holds, and Pillow's options."""

    kind: str
    alpha: bool
    deep: bool
    options: Mapping[str, object] = field(default_factory=dict)


_FORMATS = {
    ".png": _Format("PNG", alpha=True, deep=True, options=_PNG),
    ".jpg": _Format("JPEG", alpha=False, deep=False, options=_JPEG),
    ".jpeg": _Format("JPEG", alpha=False, deep=False, options=_JPEG),
    ".webp": _Format("WEBP", alpha=True, deep=False, options=_WEBP),
    ".tif": _Format("TIFF", alpha=True, deep=True),
    ".tiff": _Format("TIFF", alpha=True, deep=True),
    ".bmp": _Format("BMP", alpha=False, deep=False),
    ".gif": _Format("GIF", alpha=True, deep=False),
}
WRITABLE = tuple(_FORMATS)
_MOST_JPEG_SIDE = 65_500  # libjpeg's own limit, which it says on standard error


def extension_of(path: str) -> str:
    """That decides on a result's format.

    Raises
    ------
    FormatError
        None of `WRITABLE`.
    """
    extension = os.path.splitext(path)[1].lower()
    if extension not in _FORMATS:
        raise FormatError(f"no picture format for {extension!r}, expected {', '.join(WRITABLE)}")
    return extension


def holds_16_bits(extension: str) -> bool:
    return _FORMATS[extension].deep


def check_size(height: int, width: int, extension: str) -> None:
    """Raise a FormatError for a picture larger than a JPEG can be, if it is to be one."""
    if _FORMATS[extension].kind == "JPEG" and max(height, width) > _MOST_JPEG_SIDE:
        raise FormatError(
            f"{width:,} x {height:,} pixels: a JPEG has at most {_MOST_JPEG_SIDE:,} a side"
        )


def check_depth(extension: str) -> None:
    """Raise a FormatError for a format of 8 bits a colour."""
    if not holds_16_bits(extension):
        raise FormatError(
            f"{_FORMATS[extension].kind} has 8 bits a colour; PNG and TIFF have 16, and --depth 8 "
            "takes 8"
        )


def encode(
    pixels: NDArray[np.uint8] | NDArray[np.uint16],
    path: str,
    alpha: NDArray[np.uint8] | None = None,
    profile: bytes | None = None,
    metadata: Metadata | None = None,
) -> bytes:
    """The bytes of a picture file.

    Parameters
    ----------
    pixels
        (height, width, 3) uint8 or uint16, sRGB; PNG and TIFF hold 16 bits.
    path
        Its `extension_of` decides on the format.
    alpha
        (height, width) uint8. What cannot hold it (JPEG, BMP) is laid on white.
    profile
        Of `Photo`: pixels are converted to its space, and it is embedded. Those of 16 bits stay
        sRGB, without a profile of another space.
    metadata
        Of `Photo`: as much of it as the format holds.

    Raises
    ------
    FormatError
        The format does not hold such a picture.
    """
    extension = extension_of(path)
    check_size(pixels.shape[0], pixels.shape[1], extension)
    if pixels.dtype == np.uint16:
        check_depth(extension)
    written = _FORMATS[extension]
    try:
        if written.kind == "TIFF":
            pixels, profile = in_profile(pixels, profile)
            page = tiff_writer.page(pixels, alpha, profile, metadata)
            return b"".join([tiff_writer.HEADER, *page])
        if pixels.dtype == np.uint16:
            mode = "RGB" if alpha is None else "RGBA"
            pixels, profile = in_profile(pixels, profile)
            one = _by_pillow(Image.new(mode, (1, 1)), written, profile, metadata)
            return deep_png.widened(one, pixels, alpha)
        image = Image.fromarray(pixels)
        if written.kind == "GIF":  # without a profile, sRGB
            image = gif.indexed(image, alpha)
            transparent = {} if alpha is None else {"transparency": gif.TRANSPARENT}
            return _by_pillow(image, replace(written, options=transparent), None, metadata)
        if alpha is not None and not written.alpha:
            image = on_white(image, alpha)
        if profile is not None:
            image = profiles.from_srgb(image, profile)
        if alpha is not None and written.alpha:
            image.putalpha(Image.fromarray(alpha))
        return _by_pillow(image, written, profile, metadata)
    except (OSError, ValueError) as error:  # a WebP has at most 16,383 pixels a side
        if isinstance(error, FormatError):
            raise
        height, width = pixels.shape[:2]
        raise FormatError(f"{written.kind}, {width} x {height}: {error}") from error


def in_profile(
    pixels: NDArray[Any], profile: bytes | None
) -> tuple[NDArray[Any], bytes | None]:
    """sRGB's pixels as they stand in a file, and the profile that it gets; 16 bits stay sRGB."""
    if profile is None or profiles.is_srgb(profile):
        return pixels, profile
    if pixels.dtype == np.uint16:
        return pixels, None
    return np.asarray(profiles.from_srgb(Image.fromarray(pixels), profile)), profile


def _by_pillow(
    image: Image.Image, written: _Format, profile: bytes | None, metadata: Metadata | None
) -> bytes:
    options = dict(written.options)
    if profile is not None:
        options["icc_profile"] = profile
    if metadata is not None:
        options |= metadata_of_files.options(metadata, written.kind)
    file = io.BytesIO()
    image.save(file, written.kind, **options)
    return file.getvalue()
