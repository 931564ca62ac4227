"""GIFs, of 256 colours a picture: Pillow packs pixels, blocks of several are put together."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import GifImagePlugin, Image

TRANSPARENT = 255  # the colour that is, where any is
_OPAQUE = 128  # of alpha: what is less is transparent, as a GIF has no more than that
_LOOP = b"\x21\xff\x0bNETSCAPE2.0\x03\x01"
END = b";"
_MOST_PLAYS = 65_536
_TO_BACKGROUND, _STAY = 2, 1  # what becomes of a frame when the next one comes


def indexed(image: Image.Image, alpha: NDArray[np.uint8] | None) -> Image.Image:
    """An image in mode RGB with a palette of its own best colours, by error diffusion."""
    palette = image.quantize(256 if alpha is None else TRANSPARENT, Image.Quantize.MEDIANCUT)
    found = image.quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG)
    if alpha is not None:
        mask = np.where(alpha < _OPAQUE, 255, 0).astype(np.uint8)
        found.paste(TRANSPARENT, mask=Image.fromarray(mask))
    return found


def header(width: int, height: int, plays: int) -> bytes:
    """The beginning of an animation without a palette for all; `plays` is 0 for ever."""
    size = b"GIF89a" + struct.pack("<HHBBB", width, height, 0x70, 0, 0)
    if plays == 1:
        return size
    return size + _LOOP + struct.pack("<HB", min(plays, _MOST_PLAYS) - 1 if plays else 0, 0)


def frame(image: Image.Image, has_alpha: bool, milliseconds: int) -> bytes:
    """An `indexed` image as one frame, which covers the whole picture."""
    options: dict[str, Any] = {"duration": milliseconds, "include_color_table": True}
    options["disposal"] = _TO_BACKGROUND if has_alpha else _STAY
    if has_alpha:
        options["transparency"] = TRANSPARENT
    return b"".join(GifImagePlugin.getdata(image, **options))
