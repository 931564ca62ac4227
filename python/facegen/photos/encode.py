"""Pixels written as a picture file: the way back from a `Photo`."""

from __future__ import annotations

import io
import os

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from facegen.colour import profiles
from facegen.errors import FormatError
from facegen.files.standard import is_stream
from facegen.photos import metadata as metadata_of_files
from facegen.photos.metadata import Metadata, into_tiff
from facegen.photos.transparency import on_white

# What is written, by extension: Pillow's format, whether it holds alpha, and its options. PNG's
# lowest level takes half the time of the usual one and 15% more bytes (24 megapixels, noise).
_WRITERS: dict[str, tuple[str, bool, dict[str, object]]] = {
    ".png": ("PNG", True, {"compress_level": 1}),
    ".jpg": ("JPEG", False, {"quality": 95, "subsampling": 0}),
    ".jpeg": ("JPEG", False, {"quality": 95, "subsampling": 0}),
    ".webp": ("WEBP", True, {"quality": 95, "method": 2}),
    ".tif": ("TIFF", True, {"compression": "tiff_lzw"}),
    ".tiff": ("TIFF", True, {"compression": "tiff_lzw"}),
    ".bmp": ("BMP", False, {}),
}
WRITABLE = tuple(_WRITERS)
_MOST_JPEG_SIDE = 65_500  # libjpeg's own limit, which it says on standard error


def check_size(height: int, width: int, extension: str) -> None:
    """Raise a FormatError for a picture larger than a JPEG can be, if it is to be one."""
    if _WRITERS[extension][0] == "JPEG" and max(height, width) > _MOST_JPEG_SIDE:
        raise FormatError(
            f"{width:,} x {height:,} pixels: a JPEG has at most {_MOST_JPEG_SIDE:,} a side"
        )


def encode(
    pixels: NDArray[np.uint8],
    path: str,
    alpha: NDArray[np.uint8] | None = None,
    profile: bytes | None = None,
    metadata: Metadata | None = None,
) -> bytes:
    """The bytes of a picture file.

    Parameters
    ----------
    pixels
        (height, width, 3) uint8, sRGB.
    path
        Its extension, one of `WRITABLE`, decides on the format; "-", a device or a pipe
        without one gets PNG.
    alpha
        (height, width) uint8. What cannot hold it (JPEG, BMP) is laid on white.
    profile
        Of `Photo`: pixels are converted to its space, and it is embedded.
    metadata
        Of `Photo`: as much of it as the format holds.
    """
    extension = os.path.splitext(path)[1].lower()
    if extension not in _WRITERS and is_stream(path):
        extension = ".png"
    if extension not in _WRITERS:
        raise FormatError(f"no picture format for {extension!r}, expected {', '.join(WRITABLE)}")
    check_size(pixels.shape[0], pixels.shape[1], extension)
    kind, holds_alpha, options = _WRITERS[extension]
    image = Image.fromarray(pixels)
    if alpha is not None and not holds_alpha:
        image = on_white(image, alpha)
    try:
        if profile is not None:
            image = profiles.from_srgb(image, profile)
            options = options | {"icc_profile": profile}
        if alpha is not None and holds_alpha:
            image.putalpha(Image.fromarray(alpha))
        if metadata is not None:
            options = options | metadata_of_files.options(metadata, kind)
        file = io.BytesIO()
        image.save(file, kind, **options)
    except (OSError, ValueError) as error:  # a WebP has at most 16,383 pixels a side
        raise FormatError(f"{kind}, {image.width} x {image.height}: {error}") from error
    data = file.getvalue()
    return data if metadata is None or kind != "TIFF" else into_tiff(data, metadata)
