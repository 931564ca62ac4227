"""TIFFs of pages of 8 or 16 bits a colour; Pillow writes none of 16, nor all metadata.

header | directory of page 1, its values, its strips | the same of page 2 | ...

Strips have whole rows, are packed by zlib (Adobe's Deflate), and each sample in them is less that
of the pixel to its left: the horizontal predictor, which all readers of today know.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facegen.errors import FormatError
from facegen.photos.metadata import Metadata, tiff_fields
from facegen.photos.tiff_tags import (
    BITS_PER_SAMPLE,
    LONG,
    PHOTOMETRIC,
    RATIONAL,
    SAMPLES_PER_PIXEL,
    SHORT,
    UNDEFINED,
    Field,
    packed,
)

HEADER = b"II*\0" + struct.pack("<I", 8)
_ORDER = "<"
_LEVEL = 1  # of zlib, as for PNGs
_STRIP_BYTES = 1 << 20  # of pixels, before they are packed
_MOST_BYTES = (1 << 32) - 1  # of a file: places in it are numbers of 32 bits

_WIDTH, _HEIGHT, _COMPRESSION, _PREDICTOR, _PLANAR = 256, 257, 259, 317, 284
_STRIP_PLACES, _STRIP_ROWS, _STRIP_COUNTS = 273, 278, 279
_X_RESOLUTION, _Y_RESOLUTION, _RESOLUTION_UNIT = 282, 283, 296
_EXTRA_SAMPLES, _ICC_PROFILE = 338, 34675
_RGB, _DEFLATE, _DIFFERENCES, _TOGETHER, _ALPHA, _INCH = 2, 8, 2, 1, 2, 2


def page(
    pixels: NDArray[np.uint8] | NDArray[np.uint16],
    alpha: NDArray[np.uint8] | None,
    profile: bytes | None,
    metadata: Metadata | None,
    start: int = len(HEADER),
    last: bool = True,
) -> list[bytes]:
    """A page as it stands in a file, in parts, and behind it the next one if there is another.

    Parameters
    ----------
    pixels
        (height, width, 3), sRGB or in the space of the profile.
    start
        Where in the file, an even place.

    Raises
    ------
    FormatError
        The file becomes larger than a TIFF can be.
    """
    height, width, _ = pixels.shape
    samples = 3 if alpha is None else 4
    rows = max(1, _STRIP_BYTES // (width * samples * pixels.itemsize))
    strips = list(_strips(pixels, alpha, rows))
    fields = [
        _numbers(_WIDTH, LONG, [width]),
        _numbers(_HEIGHT, LONG, [height]),
        _numbers(BITS_PER_SAMPLE, SHORT, [8 * pixels.itemsize] * samples),
        _numbers(_COMPRESSION, SHORT, [_DEFLATE]),
        _numbers(PHOTOMETRIC, SHORT, [_RGB]),
        _numbers(SAMPLES_PER_PIXEL, SHORT, [samples]),
        _numbers(_STRIP_ROWS, LONG, [rows]),
        _numbers(_STRIP_COUNTS, LONG, [len(strip) for strip in strips]),
        _numbers(_PLANAR, SHORT, [_TOGETHER]),
        _numbers(_PREDICTOR, SHORT, [_DIFFERENCES]),
    ]
    if alpha is not None:
        fields.append(_numbers(_EXTRA_SAMPLES, SHORT, [_ALPHA]))
    if profile is not None:
        fields.append(Field(_ICC_PROFILE, UNDEFINED, profile))
    if metadata is not None:
        fields += tiff_fields(metadata, _ORDER)
        if metadata.dpi is not None:
            fields.append(_numbers(_RESOLUTION_UNIT, SHORT, [_INCH]))
            for tag, value in zip((_X_RESOLUTION, _Y_RESOLUTION), metadata.dpi, strict=True):
                part = Fraction(value).limit_denominator(1 << 16)
                fields.append(_numbers(tag, RATIONAL, [part.numerator, part.denominator]))
    return _laid_out(fields, strips, start, last)


def _laid_out(
    fields: Sequence[Field], strips: Sequence[bytes], start: int, last: bool
) -> list[bytes]:
    """A directory, of the size that it has whatever its strips' places are, and the strips."""
    size = len(packed([*fields, _numbers(_STRIP_PLACES, LONG, [0] * len(strips))], start, _ORDER))
    ends = start + size + np.cumsum([len(strip) for strip in strips], dtype=np.int64)
    end = int(ends[-1]) + int(ends[-1]) % 2
    if end > _MOST_BYTES:
        raise FormatError("more than 4 GiB, which no TIFF has")
    places = [start + size, *ends[:-1].tolist()]
    fields = [*fields, _numbers(_STRIP_PLACES, LONG, places)]
    directory = packed(fields, start, _ORDER, 0 if last else end)
    return [directory, *strips, bytes(end - int(ends[-1]))]


def _strips(
    pixels: NDArray[np.uint8] | NDArray[np.uint16], alpha: NDArray[np.uint8] | None, rows: int
) -> Iterator[bytes]:
    stored = pixels.dtype.newbyteorder("<")
    for top in range(0, len(pixels), rows):
        band = pixels[top : top + rows]
        if alpha is not None:
            widen = 257 if pixels.itemsize == 2 else 1
            opacity = alpha[top : top + rows, :, np.newaxis].astype(pixels.dtype) * widen
            band = np.concatenate([band, opacity.astype(pixels.dtype)], axis=2)
        differences: NDArray[Any] = band.astype(stored)
        differences[:, 1:] -= band[:, :-1]
        yield zlib.compress(differences.tobytes(), _LEVEL)


def _numbers(tag: int, kind: int, values: Sequence[int]) -> Field:
    letter = "H" if kind == SHORT else "I"
    return Field(tag, kind, struct.pack(f"{_ORDER}{len(values)}{letter}", *values))
