"""CIE L*a*b* (D65, the 2 degree observer), as ``skimage.color``'s rgb2lab and lab2rgb.

RGB is sRGB: uint8, uint16, or floats from 0 to 1, in any byte order. Computed by native code on all
threads.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from facegen import _native, processors
from facegen.numbers.pixels import in_native_order


def rgb_to_lab(rgb: ArrayLike, threads: int | None = None) -> NDArray[np.float32]:
    """L (0 to 100), a and b of pixels.

    Parameters
    ----------
    rgb
        (..., 3), uint8, uint16 or floats from 0 to 1.
    threads
        All that this process may use if None.

    Returns
    -------
    (..., 3) float32, within 1e-4 of the definition.

    Raises
    ------
    ValueError
        Another shape or type.
    """
    pixels = _native_rgb(rgb)
    lab = np.empty(pixels.shape, np.float32)
    _native.rgb_to_lab(pixels.reshape(-1, 3), lab.reshape(-1, 3), threads or processors.count())
    return lab


def rgb_to_lightness(rgb: ArrayLike, threads: int | None = None) -> NDArray[np.float32]:
    """L alone: ``rgb_to_lab(rgb)[..., 0]``, (...) float32, at a third of the work."""
    pixels = _native_rgb(rgb)
    lightness = np.empty(pixels.shape[:-1], np.float32)
    threads = threads or processors.count()
    _native.rgb_to_lightness(pixels.reshape(-1, 3), lightness.reshape(-1, 1), threads)
    return lightness


def lab_to_rgb(lab: ArrayLike, dtype: Any = np.uint8, threads: int | None = None) -> NDArray[Any]:
    """Pixels of L, a and b; what sRGB cannot show is clamped.

    Parameters
    ----------
    lab
        (..., 3), real numbers.
    dtype
        uint8 and uint16 (rounded to the nearest), or float32 from 0 to 1.
    threads
        All that this process may use if None.

    Returns
    -------
    (..., 3) of that type.

    Raises
    ------
    ValueError
        Another shape or type.
    """
    values = np.ascontiguousarray(_three(lab), np.float32)
    dtype = np.dtype(dtype).newbyteorder("=")
    if dtype not in (np.uint8, np.uint16, np.float32):
        raise ValueError(f"RGB may be uint8, uint16 or float32, not {dtype}")
    rgb = np.empty(values.shape, np.uint8 if dtype == np.uint8 else np.float32)
    _native.lab_to_rgb(values.reshape(-1, 3), rgb.reshape(-1, 3), threads or processors.count())
    return np.rint(rgb * 65535).astype(np.uint16) if dtype == np.uint16 else rgb


def _native_rgb(rgb: ArrayLike) -> NDArray[np.uint8] | NDArray[np.float32]:
    """The picture as the native code takes it: C-contiguous uint8, or float32 from 0 to 1."""
    values = _three(rgb)
    if values.dtype == np.uint8:
        return np.ascontiguousarray(values)
    if values.dtype == np.uint16:
        return values.astype(np.float32, order="C") / np.float32(65535)
    if values.dtype.kind != "f":
        raise ValueError(f"RGB must be uint8, uint16 or floats from 0 to 1, not {values.dtype}")
    return np.ascontiguousarray(values, np.float32)


def _three(values: ArrayLike) -> NDArray[Any]:
    array = in_native_order(np.asarray(values))
    if array.ndim < 1 or array.shape[-1] != 3:
        raise ValueError(f"expected an array of shape (..., 3), found {array.shape}")
    return array
