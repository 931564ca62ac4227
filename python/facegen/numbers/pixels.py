"""Bytes turned into a network's values in [-1, 1], and back."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from facegen._native import values_to_pixels


def in_native_order(values: NDArray[Any]) -> NDArray[Any]:
    """The same numbers in this machine's byte order; others read big-endian TIFFs as >u2."""
    return values.astype(values.dtype.newbyteorder("="), copy=False)


def from_uint8(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """``v / 255 * 2 - 1`` in float32: 0 becomes -1, 255 becomes 1. Same shape."""
    values = np.empty(pixels.shape, np.float32)
    for source, target in zip(pixels, values, strict=True):  # picture by picture, within the cache
        target[...] = source
        target /= np.float32(255)
        target *= np.float32(2)
        target -= np.float32(1)
    return values


def to_uint8(images: ArrayLike, threads: int = 1) -> NDArray[np.uint8]:
    """``(int)((x + 1) / 2 * 255)``: the reference program's pixel values.

    Parameters
    ----------
    images
        Values in [-1, 1], any shape; computed in float32, as C does with a float and the integers
        of that expression. What lies outside is clamped, NaN becomes 0; uint8 is returned as it is.
    threads
        That convert.

    Returns
    -------
    NDArray[np.uint8]
        Same shape. -1 becomes 0, only 1 becomes 255.
    """
    images = np.asarray(images)
    if images.dtype == np.uint8:
        return images
    with np.errstate(over="ignore", invalid="ignore"):  # infinity is clamped; signalling NaN
        values = np.require(images, np.float32, ["C", "A", "E"])
    pixels = np.empty(values.shape, np.uint8)
    values_to_pixels(values, pixels, threads)
    return pixels
