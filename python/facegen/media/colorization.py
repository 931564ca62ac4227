"""A picture's way through the colorizer: its lightness at 256x256 in, colours at full size out.

The network sees a small copy of the picture. Its a and b are resized to the picture's own size and
joined with the picture's own L, so that nothing of its sharpness is lost.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from facegen.colour.lab import lab_to_rgb, rgb_to_lightness
from facegen.errors import FormatError
from facegen.numbers.pixels import in_native_order

if TYPE_CHECKING:
    from PIL.Image import Image

SIDE = 256  # of the picture that the network sees
_BAND_PIXELS = 1 << 20  # converted at a time: 12 MB of L*a*b*


def network_lightness(rgb: NDArray[Any]) -> NDArray[np.float32]:
    """L of a picture for the network: resized to 256x256 (bicubic, as Pillow does), then L.

    Parameters
    ----------
    rgb
        (height, width, 3) or grey (height, width): uint8, uint16 or floats from 0 to 1.

    Returns
    -------
    (256, 256) float32, 0 to 100.

    Raises
    ------
    FormatError
        Another shape or type, or floats outside of 0 to 1.
    """
    from PIL import Image

    rgb = _checked_picture(rgb)
    small = Image.fromarray(_as_bytes(rgb))
    if small.mode != "RGB":  # to convert what is would copy it
        small = small.convert("RGB")
    if small.size != (SIDE, SIDE):
        small = small.resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    return rgb_to_lightness(np.asarray(small))


def with_colours(
    rgb: NDArray[Any],
    ab: NDArray[np.float32],
    strength: float = 1.0,
    threads: int | None = None,
    out: NDArray[Any] | None = None,
    advance: Callable[[int], None] = lambda rows: None,
) -> NDArray[Any]:
    """The picture's own L with the colours a and b, resized to its size (bicubic, in floats).

    What it takes beside the picture and the result is bounded, whatever their size.

    Parameters
    ----------
    rgb
        (height, width, 3) or grey (height, width): uint8, uint16 or floats from 0 to 1.
    ab
        (2, h, w) float32: the planes a and b, of any size.
    strength
        What a and b are multiplied by: 0 is grey, 1 the colours as they are.
    threads
        All that this process may use if None.
    out
        Where the result goes; it may be `rgb` itself, if that has colours.
    advance
        Hears how many rows more are done; what it raises ends the work.

    Returns
    -------
    (height, width, 3) of the picture's type (float32 for all floats), in the machine's byte order.

    Raises
    ------
    FormatError
        Another shape or type, floats outside of 0 to 1, or a strength that is not finite.
    """
    from PIL import Image

    rgb = _checked_picture(rgb)
    if not math.isfinite(strength):
        raise FormatError(f"strength: expected a finite number, found {strength}")
    if ab.ndim != 3 or len(ab) != 2:
        raise FormatError(f"colours: expected shape (2, h, w), found {ab.shape}")
    height, width = rgb.shape[:2]
    dtype = np.dtype(np.float32) if rgb.dtype.kind == "f" else rgb.dtype
    result = np.empty((height, width, 3), dtype) if out is None else out
    if result.shape != (height, width, 3) or result.dtype != dtype:
        raise FormatError(
            f"out: expected {dtype} of {(height, width, 3)}, found {result.dtype} of {result.shape}"
        )
    planes = [Image.fromarray(np.ascontiguousarray(plane, np.float32)) for plane in ab]  # mode F
    for band in _bands(height, width):
        pixels = rgb[band]
        if pixels.ndim == 2:
            pixels = np.repeat(pixels[..., np.newaxis], 3, axis=2)
        lab = np.empty(pixels.shape, np.float32)
        lab[..., 0] = rgb_to_lightness(pixels, threads)
        for channel, plane in enumerate(planes, start=1):
            part = _resized(plane, height, width, band)
            np.multiply(part, np.float32(strength), out=lab[..., channel])
        result[band] = lab_to_rgb(lab, dtype, threads)
        advance(len(pixels))
    return result


def _bands(height: int, width: int) -> Iterator[slice]:
    """Rows of a picture, so many at a time that a band is small and a small picture is one."""
    rows = max(1, _BAND_PIXELS // width)
    for top in range(0, height, rows):
        yield slice(top, min(top + rows, height))


def _checked_picture(rgb: NDArray[Any]) -> NDArray[Any]:
    """The picture in the machine's byte order, its shape, type and range checked."""
    rgb = in_native_order(rgb)
    if not (rgb.ndim == 2 or (rgb.ndim == 3 and rgb.shape[2] == 3)):
        raise FormatError(
            f"picture: expected shape (height, width, 3) or (height, width), found {rgb.shape}"
        )
    if min(rgb.shape[:2]) < 1:
        raise FormatError(f"picture: expected at least 1 pixel, found {rgb.shape}")
    if rgb.dtype not in (np.uint8, np.uint16) and rgb.dtype.kind != "f":
        raise FormatError(f"picture: expected uint8, uint16 or floats, found {rgb.dtype}")
    if rgb.dtype.kind == "f":
        least, most = rgb.min(), rgb.max()
        if not (least >= 0 and most <= 1):  # so is NaN
            raise FormatError(f"picture: expected floats from 0 to 1, found {least} to {most}")
    return rgb


def _as_bytes(rgb: NDArray[Any]) -> NDArray[np.uint8]:
    """Values rounded to the nearest byte; the network's copy need not be finer."""
    if rgb.dtype == np.uint8:
        return np.ascontiguousarray(rgb)
    result = np.empty(rgb.shape, np.uint8)
    for band in _bands(*rgb.shape[:2]):
        if rgb.dtype == np.uint16:
            result[band] = (rgb[band].astype(np.uint32) + 128) // 257
        else:
            result[band] = np.rint(np.asarray(rgb[band], np.float32) * 255)
    return result


def _resized(plane: Image, height: int, width: int, band: slice) -> NDArray[np.float32]:
    """Rows of a plane in the size of the picture: those of one resized whole, within 1e-5 of a row.

    Pillow has the place of the part in float32, and reads what lies around it.
    """
    from PIL import Image

    if plane.size == (width, height):
        return np.asarray(plane)[band]
    scale = plane.height / height
    part = 0, band.start * scale, plane.width, min(band.stop * scale, plane.height)
    size = width, band.stop - band.start
    return np.asarray(plane.resize(size, Image.Resampling.BICUBIC, part))
