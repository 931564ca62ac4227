"""Colours changed, by an amount for each picture.

All kinds are affine in a pixel x and in the mean m of its picture's pixels, three colours each:

    y = A x + C m + b

So is what several of them do one after another. With the mean as three more numbers of a pixel, and
1 as the last, a kind is a 7x7 matrix, and a matrix product chains kinds. The functions that make
such matrices have names that end in _matrix, take amounts (n,) and give (n, 7, 7) float64.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from facegen import _native, processors
from facegen.train.augment.arrays import check_amounts, check_pictures

# Luma of ITU-R BT.601.
_LUMA = np.array([0.299, 0.587, 0.114])
_SAME = np.eye(3)


def brightness(pictures: Any, amount: Any) -> np.ndarray:
    """Adds `amount`; the values span 2."""
    return recolour(pictures, brightness_matrix(amount))


def contrast(pictures: Any, factor: Any) -> np.ndarray:
    """Multiplies the differences from each picture's mean, which is one number."""
    return recolour(pictures, contrast_matrix(factor))


def saturation(pictures: Any, factor: Any) -> np.ndarray:
    """Multiplies the differences from grey: 0 is a grey picture, 1 changes nothing."""
    return recolour(pictures, saturation_matrix(factor))


def hue(pictures: Any, angle: Any) -> np.ndarray:
    """Turns the colours about the axis of grey by `angle` in degrees (Rodrigues' formula)."""
    return recolour(pictures, hue_matrix(angle))


def pca_jitter(pictures: Any, amounts: Any, axes: Any) -> np.ndarray:
    """Shifts each picture along the colour axes (Krizhevsky et al. 2012); `amounts` is (n, 3)."""
    return recolour(pictures, pca_matrix(amounts, axes))


def colour_axes(pictures: Any) -> np.ndarray:
    """Principal axes of the colours of all pixels, each of length one standard deviation, (3, 3).

    Row i is axis i: `pca_jitter` adds multiples of the rows.
    """
    pixels = check_pictures(pictures).reshape(-1, 3).astype(np.float64)
    values, vectors = np.linalg.eigh(np.cov(pixels.T))
    return (vectors * np.sqrt(np.maximum(values, 0))).T


def brightness_matrix(amount: Any) -> np.ndarray:
    amount = np.asarray(amount, float)
    return _matrix(len(amount), shift=amount[:, None])


def contrast_matrix(factor: Any) -> np.ndarray:
    factor = np.asarray(factor, float)[:, None, None]
    return _matrix(len(factor), factor * np.eye(3), (1 - factor) / 3)


def saturation_matrix(factor: Any) -> np.ndarray:
    factor = np.asarray(factor, float)[:, None, None]
    return _matrix(len(factor), factor * np.eye(3) + (1 - factor) * _LUMA)


def hue_matrix(angle: Any) -> np.ndarray:
    turn = np.radians(np.asarray(angle, float))[:, None, None]
    axis = 3**-0.5
    cross = np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]]) * axis
    turned = np.cos(turn) * np.eye(3) + np.sin(turn) * cross + (1 - np.cos(turn)) * axis**2
    return _matrix(len(turn), turned)


def pca_matrix(amounts: Any, axes: Any) -> np.ndarray:
    shift = np.asarray(amounts, float) @ axes
    return _matrix(len(shift), shift=shift)


def _matrix(
    n: int, of_pixel: Any = _SAME, of_mean: Any = 0.0, shift: Any = 0.0
) -> np.ndarray:
    """(n, 7, 7) that does the same to the mean as to pixels: it stays the pixels' mean."""
    matrix = np.zeros((n, 7, 7))
    matrix[:, :3, :3] = of_pixel
    matrix[:, :3, 3:6] = of_mean
    matrix[:, 3:6, 3:6] = matrix[:, :3, :3] + matrix[:, :3, 3:6]
    matrix[:, :3, 6] = matrix[:, 3:6, 6] = shift
    matrix[:, 6, 6] = 1
    return matrix


def recolour(pictures: Any, matrix: Any, threads: int | None = None) -> np.ndarray:
    """Pictures (n, h, w, 3) as matrices (n, 7, 7) change them."""
    pictures = check_pictures(pictures)
    of_pixel, of_mean, added = parts_of(matrix, len(pictures))
    means = np.empty((len(pictures), 3))
    some = processors.count() if threads is None else threads
    result = np.empty_like(pictures)
    _native.colour_sums(pictures, means, some)
    means /= pictures.shape[1] * pictures.shape[2]
    shift = np.einsum("nij,nj->ni", of_mean, means) + added
    _native.recolour(pictures, _with_shift(of_pixel, shift), result, some)
    return result


def recolour_adjoint(gradient: Any, matrix: Any, threads: int | None = None) -> np.ndarray:
    """The gradient in the pictures, (n, h, w, 3), of one in `recolour`'s result."""
    gradient = check_pictures(gradient)
    of_pixel, of_mean, _ = parts_of(matrix, len(gradient))
    sums = np.empty((len(gradient), 3))
    some = processors.count() if threads is None else threads
    result = np.empty_like(gradient)
    _native.colour_sums(gradient, sums, some)
    # Every pixel has its share of the mean.
    share = np.einsum("nji,nj->ni", of_mean, sums)
    share /= gradient.shape[1] * gradient.shape[2]
    turned = of_pixel.transpose(0, 2, 1)
    _native.recolour(gradient, _with_shift(turned, share), result, some)
    return result


def parts_of(matrix: Any, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A, C (n, 3, 3) and b (n, 3) of matrices (n, 7, 7), float64 of float32 numbers."""
    numbers = check_amounts("matrix", matrix, (n, 7, 7)).astype(np.float64)
    return numbers[:, :3, :3], numbers[:, :3, 3:6], numbers[:, :3, 6]


def _with_shift(matrix: np.ndarray, shift: np.ndarray) -> np.ndarray:
    joined = np.concatenate([matrix, shift[:, :, None]], axis=2)
    return np.ascontiguousarray(joined, np.float32)
