"""Pictures of single digits, brought into the form of MNIST's.

As those images were made (LeCun et al. 1998): the digit's box, in its proportions, is resized until
its longer side has 20 pixels, and put into 28x28 so that its centre of mass is in the middle.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from facegen.errors import FormatError
from facegen.numbers import idx
from facegen.photos import photo
from facegen.photos.kinds import photo_of

SIDE = 28
_BOX = 20  # longer side of the digit itself
_INK = 0.25  # of the strongest stroke: fainter pixels, such as noise, do not widen the box
_LEAST_CONTRAST = 16  # of 255, between background and strokes


def read(path: str | os.PathLike[str]) -> NDArray[np.uint8]:
    """Images of digits from a file: (n, 28, 28) uint8, light on black.

    Parameters
    ----------
    path
        An IDX file (gzipped or not) of 28x28 images, which are taken as they are; or a picture of
        one digit, which `to_mnist` prepares, turned as its EXIF orientation says and put on white
        where it is transparent.

    Raises
    ------
    FormatError
        It is neither, or damaged; the picture is larger than Pillow's limit, or shows nothing.
    OSError
        The file cannot be read.
    """
    try:
        return parse(photo.read_bytes(path))
    except FormatError as error:
        raise FormatError(f"{path}: {error}") from error


def parse(data: bytes) -> NDArray[np.uint8]:
    """Images of digits from a file's content; messages do not name the file."""
    if not idx.is_idx(data):
        return _of_photo(photo.decode(data))
    return idx.parse(data, dimensions=3, item=(SIDE, SIDE))


def pixels(data: bytes) -> int:
    """How many pixels `parse` will decode, by the header; FormatError as for it."""
    if idx.is_idx(data):
        return idx.count(data, dimensions=3)
    height, width = photo.size(data)
    return height * width


def prepare(pictures: Any) -> NDArray[np.uint8]:
    """Images (n, 28, 28) of what people have: a path, a Pillow image, or a list of them.

    Raises
    ------
    FormatError, OSError
        As for `read`; or it is something else.
    """
    if isinstance(pictures, (list, tuple)):
        parts = [prepare(one) for one in pictures]
        return np.concatenate([np.empty((0, SIDE, SIDE), np.uint8), *parts])
    if isinstance(pictures, (str, os.PathLike)):
        return read(pictures)
    return _of_photo(photo_of(pictures))


def _of_photo(picture: photo.Photo) -> NDArray[np.uint8]:
    return to_mnist(photo.opaque(picture))[np.newaxis]


def to_mnist(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """One digit of any size, position and colours as (28, 28) uint8, light on black.

    The edge of the picture is taken for the background: where that is light, the picture is
    inverted. The strokes are stretched to the full range of values, before and after resizing.

    Parameters
    ----------
    pixels
        (height, width, 3) RGB or (height, width) grey.

    Raises
    ------
    FormatError
        Nothing stands out from the background.
    """
    ink = _ink(np.asarray(Image.fromarray(pixels).convert("L"), np.float32))
    strong = ink >= _INK * ink.max()
    rows, columns = np.flatnonzero(strong.any(axis=1)), np.flatnonzero(strong.any(axis=0))
    box = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    factor = _BOX / max(box.shape)
    height, width = (max(1, round(side * factor)) for side in box.shape)
    digit = np.asarray(Image.fromarray(box).resize((width, height), Image.Resampling.BILINEAR))
    digit = digit * (255 / digit.max())  # thin strokes fade when they are made small
    top, left = _before(digit.sum(axis=1)), _before(digit.sum(axis=0))
    result = np.zeros((SIDE, SIDE), np.uint8)
    result[top : top + height, left : left + width] = np.rint(digit)
    return result


def _ink(grey: NDArray[np.float32]) -> NDArray[np.float32]:
    """How far each pixel is from the background towards the strokes, (height, width)."""
    edge = np.concatenate([grey[0], grey[-1], grey[1:-1, 0], grey[1:-1, -1]])
    background, low, high = np.median(edge), grey.min(), grey.max()
    if high - low < _LEAST_CONTRAST:
        raise FormatError(f"expected a digit, found values from {low:.0f} to {high:.0f} of 255")
    light = high - background < background - low
    return np.maximum(background - grey if light else grey - background, 0)


def _before(profile: NDArray[np.float32]) -> int:
    """Pixels in front of a profile so that its centre of mass comes to the middle of 28."""
    size = len(profile)
    centre = float(profile @ (np.arange(size) + 0.5)) / float(profile.sum())
    return min(max(round(SIDE / 2 - centre), 0), SIDE - size)
