"""What is transparent in a picture: its alpha channel, or one colour that means so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

from facegen.photos.deep import low_bytes

_GREY_BITS = {"L;2": 2, "L;4": 4}  # of a PNG's samples, by Pillow's raw modes; else 8
_RGB_16 = "RGB;16B"  # of which Pillow keeps the upper bytes


@dataclass(frozen=True)
class Key:
    """The colour that is transparent, in full samples of so many bits."""

    colour: tuple[int, ...]
    bits: int


def key_of(image: Image.Image) -> Key | None:
    """The transparent colour of a picture that is not loaded yet; None also for palettes'.

    Only the bits count that samples have (PNG 11.3.2.1).
    """
    colour = image.info.get("transparency")
    if image.mode not in ("1", "L", "RGB") or not isinstance(colour, (int, tuple)):
        return None  # 16-bit greys are compared where they are rounded
    if image.mode == "1":
        return Key((1 if colour else 0,), 1)  # Pillow made 0 or 255 of it; see png_chunks
    raw: object = None
    if image.format == "PNG" and isinstance(image, ImageFile.ImageFile) and image.tile:
        raw = image.tile[0].args
    bits = 16 if raw == _RGB_16 else _GREY_BITS.get(str(raw), 8)
    most = (1 << bits) - 1
    samples = (colour,) if isinstance(colour, int) else colour
    return Key(tuple(sample & most for sample in samples), bits)


def key_alpha(
    image: Image.Image, key: Key, reopened: Callable[[], Image.Image] | None
) -> Image.Image:
    """Alpha of a loaded picture: 0 where it has the transparent colour, 255 elsewhere.

    Parameters
    ----------
    reopened
        Opens the file anew, for the lower bytes of 16-bit colours. Without it, as for an image that
        others have opened, the upper ones decide.
    """
    pixels = np.asarray(image)
    pixels = pixels if pixels.ndim == 3 else pixels[..., np.newaxis]
    if key.bits == 16:
        transparent = _equal(pixels, tuple(sample >> 8 for sample in key.colour))
        if reopened is not None:
            low = low_bytes(reopened())
            transparent &= _equal(low, tuple(sample & 0xFF for sample in key.colour))
    elif key.bits == 1:
        transparent = _equal(pixels, tuple(bool(sample) for sample in key.colour))
    else:
        widen = 255 // ((1 << key.bits) - 1)  # as Pillow does: exact for 2, 4 and 8 bits
        transparent = _equal(pixels, tuple(sample * widen for sample in key.colour))
    return Image.fromarray(np.where(transparent, 0, 255).astype(np.uint8))


def split_alpha(image: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """The colours alone, and the alpha channel where there is any transparency."""
    if not image.has_transparency_data:
        return image, None
    grey = image.mode in ("L", "LA", "La")
    image = image.convert("LA" if grey else "RGBA")
    return image.convert("L" if grey else "RGB"), image.getchannel("A")


def _equal(pixels: NDArray[np.uint8], colour: tuple[int, ...]) -> NDArray[np.bool_]:
    return (pixels == np.array(colour, pixels.dtype)).all(axis=2)


def on_white(image: Image.Image, alpha: NDArray[np.uint8]) -> Image.Image:
    """A picture in mode RGB, laid on white paper where alpha (height, width) is below 255."""
    white = Image.new("RGB", image.size, "white")
    return Image.composite(image, white, Image.fromarray(alpha))
