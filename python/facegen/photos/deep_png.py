"""PNGs of 16 bits a colour, which Pillow does not write.

What a file says besides its pixels comes from a PNG of one pixel by Pillow: header and pixels of
that are replaced.
"""

from __future__ import annotations

import struct
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facegen.photos import png_chunks

_LEVEL = 1  # of zlib, as for PNGs of 8 bits
_SUB = 1  # PNG's filter: each byte less that of the pixel to its left
_BAND_BYTES = 1 << 22


def widened(one_pixel: bytes, pixels: NDArray[Any], alpha: NDArray[np.uint8] | None) -> bytes:
    """The PNG of one pixel with others in its place.

    Parameters
    ----------
    one_pixel
        A PNG by Pillow, in RGB or RGBA.
    pixels, alpha
        (height, width, 3) uint16 and (height, width); RGBA has alpha.
    """
    parts = [png_chunks.SIGNATURE]
    for name, start, end in png_chunks.chunks(one_pixel):
        content = one_pixel[start:end]
        if name == b"IHDR":
            size = pixels.shape[1], pixels.shape[0]
            content = struct.pack(">IIB", *size, 16) + content[9:]
        elif name == b"IDAT":
            parts += [png_chunks.chunk(name, part) for part in _packed(pixels, alpha)]
            continue
        parts.append(png_chunks.chunk(name, content))
    return b"".join(parts)


def _packed(pixels: NDArray[Any], alpha: NDArray[np.uint8] | None) -> list[bytes]:
    """Rows with their filter, packed, in pieces."""
    height, width, _ = pixels.shape
    pixel_bytes = 6 if alpha is None else 8
    packer = zlib.compressobj(_LEVEL)
    parts = []
    rows = max(1, _BAND_BYTES // (width * pixel_bytes))
    for top in range(0, height, rows):
        band = pixels[top : top + rows]
        if alpha is not None:
            opacity = alpha[top : top + rows, :, np.newaxis].astype(np.uint16) * 257
            band = np.concatenate([band, opacity], axis=2)
        samples = band.astype(">u2").view(np.uint8).reshape(len(band), width, pixel_bytes)
        filtered = np.empty((len(band), 1 + width * pixel_bytes), np.uint8)
        filtered[:, 0] = _SUB
        filtered[:, 1 : 1 + pixel_bytes] = samples[:, 0]
        differences = samples[:, 1:] - samples[:, :-1]
        filtered[:, 1 + pixel_bytes :] = differences.reshape(len(band), -1)
        parts.append(packer.compress(filtered.data))
    return [part for part in [*parts, packer.flush()] if part]
