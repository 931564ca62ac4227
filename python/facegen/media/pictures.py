"""Images as picture files: grids, any format that Pillow writes."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from facegen.errors import FormatError
from facegen.files.atomic import AtomicFile
from facegen.numbers.pixels import to_uint8


def grid(images: ArrayLike, rows: int, columns: int) -> NDArray[np.uint8]:
    """Tile images row by row; tiles without an image stay black.

    Parameters
    ----------
    images
        (n, height, width, channels), float values in [-1, 1] or uint8; n <= rows * columns.

    Returns
    -------
    NDArray[np.uint8]
        (rows * height, columns * width, channels)
    """
    pixels = to_uint8(images)
    if pixels.ndim != 4:
        raise ValueError(f"images must have 4 dimensions (n, h, w, c), not {pixels.ndim}")
    n, height, width, channels = pixels.shape
    if n > rows * columns:
        raise ValueError(f"{n} images do not fit a grid of {rows} x {columns}")
    tiles = np.zeros((rows * columns, height, width, channels), np.uint8)
    tiles[:n] = pixels
    tiles = tiles.reshape(rows, columns, height, width, channels)
    return tiles.swapaxes(1, 2).reshape(rows * height, columns * width, channels)


def check_channels(channels: int, where: str = "pictures") -> None:
    """Refuse what no picture has: with 2 or 4 channels the last would be its transparency.

    Raises
    ------
    FormatError
        It is neither 1, grey, nor 3, RGB; the message names `where`.
    """
    if channels not in (1, 3):
        raise FormatError(f"{where}: expected 1 or 3 channels of a picture, found {channels}")


def rgb(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Pictures (..., 3) of grey ones (..., 1); of RGB the same. FormatError of others."""
    check_channels(pixels.shape[-1])
    return np.repeat(pixels, 3, axis=-1) if pixels.shape[-1] == 1 else pixels


def save(path: str | os.PathLike[str], image: ArrayLike) -> None:
    """Write one image as `encode` has it; the file appears when it is complete."""
    data = encode(path, image)
    with AtomicFile(path) as file:
        file.write(data)


def encode(path: str | os.PathLike[str], image: ArrayLike) -> bytes:
    """One image (height, width, 3 or 1 or none) in the format of the path's extension.

    Raises
    ------
    FormatError
        Where Pillow writes no format of that extension; other channels.
    """
    from PIL import Image

    extension = Path(path).suffix.lower()
    picture_format = Image.registered_extensions().get(extension)
    if picture_format is None or picture_format not in Image.SAVE:
        raise FormatError(
            f"{os.fspath(path)}: no picture format is known for '{extension}', "
            "expected .png, .bmp, .jpg or another that Pillow writes"
        )
    pixels = to_uint8(image)
    if pixels.ndim == 3:
        check_channels(pixels.shape[2], os.fspath(path))
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[:, :, 0]
    encoded = io.BytesIO()
    Image.fromarray(pixels).save(encoded, picture_format)
    return encoded.getvalue()
