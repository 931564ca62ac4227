"""Samples of more than 8 bits, as they are in the file: Pillow's own images of colours keep 8."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

from facegen.colour import profiles
from facegen.errors import FormatError

_MOST = 0xFFFF
_OTHER_BYTE = {"B": "L", "L": "B", "N": "B" if sys.byteorder == "little" else "L"}


def is_deep(image: Image.Image) -> bool:
    """Whether `in_16_bits` may have values of it; before it is loaded."""
    return has_deep_colours(image) or _is_grey(image)


def has_deep_colours(image: Image.Image) -> bool:
    """Whether it is one of 16 bits a colour of which Pillow keeps 8; before it is loaded."""
    return (
        isinstance(image, ImageFile.ImageFile)
        and image.mode in ("RGB", "RGBA", "RGBX")
        and bool(image.tile)
        and ";16" in _raw_mode(image.tile[0].args)
    )


def to_8_bits(image: Image.Image, info: Mapping[str, Any]) -> Image.Image:
    """A loaded image; greys of 16 bits, which Pillow's own conversions clip, rounded: v / 257.

    `info` says more of TIFFs: see `tiff_pixels.describe`.
    """
    if image.mode == "F":
        raise FormatError("floating-point pixels, which have no range; convert to 8 or 16 bits")
    if not _is_grey(image):
        return image
    light, most = _light(image, info)
    grey = Image.fromarray(_scaled(light, most, 255).astype(np.uint8))
    transparent = image.info.get("transparency")
    if transparent is not None:
        there = np.asarray(image) != transparent
        grey.putalpha(Image.fromarray(np.where(there, 255, 0).astype(np.uint8)))
    return grey


def in_16_bits(
    image: Image.Image, info: Mapping[str, Any], reopened: Callable[[], Image.Image] | None
) -> NDArray[np.uint16] | None:
    """A loaded image as `Photo.deep` has it, not turned.

    `reopened` opens the file anew where it `has_deep_colours`.
    """
    if reopened is not None:
        values = np.asarray(image)[..., :3].astype(np.uint16)
        values <<= 8
        values |= low_bytes(reopened())[..., :3]
    elif _is_grey(image):
        light, most = _light(image, info)
        values = _scaled(light, most, _MOST)
    else:
        return None
    return profiles.deep_to_srgb(values, info)


def _is_grey(image: Image.Image) -> bool:
    """Of 12 or 16 bits, as Pillow has them."""
    return image.mode == "I" or image.mode.startswith("I;16")


def _light(image: Image.Image, info: Mapping[str, Any]) -> tuple[NDArray[np.uint16], int]:
    """Values of greys from black, 0, to white, and that of white."""
    values = np.asarray(image)
    most = info.get("most", _MOST)
    if values.min() < 0 or values.max() > most:
        raise FormatError(f"values of {values.min()} to {values.max()}, expected 0 to {most:,}")
    light = values.astype(np.uint16)
    return most - light if info.get("min_is_white") else light, most


def _scaled(light: NDArray[np.uint16], most: int, to: int) -> NDArray[np.uint16]:
    """0 to `most` as 0 to `to`, rounded; a row at a time, as it takes wider numbers."""
    if to == most:
        return light
    result = np.empty_like(light)
    for row, out in zip(light, result, strict=True):
        out[:] = (row.astype(np.uint32) * to + most // 2) // most
    return result


def low_bytes(image: Image.Image) -> NDArray[np.uint8]:
    """The bytes of 16-bit colours that Pillow drops, of an image that is not loaded yet.

    The same file is read as if it had the other byte order.
    """
    assert isinstance(image, ImageFile.ImageFile)
    image.tile = [tile._replace(args=_swapped(tile.args)) for tile in image.tile]
    return np.asarray(image)


def _raw_mode(arguments: Any) -> str:
    return str(arguments[0] if isinstance(arguments, tuple) else arguments)


def _swapped(arguments: Any) -> Any:
    mode = _raw_mode(arguments)
    other = mode[:-1] + _OTHER_BYTE[mode[-1]]
    return (other, *arguments[1:]) if isinstance(arguments, tuple) else other
