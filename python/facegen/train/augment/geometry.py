"""Pictures moved, turned and bent.

All of it but the mirror is one resampling, `warp`. A 3x3 matrix takes a point of the result to the
point of the picture that is seen there, both in coordinates where the picture spans -1 to 1, x to
the right and y down: so a matrix product chains kinds, and pictures are interpolated once. The
functions that make matrices take amounts (n,) and give (n, 3, 3) float64.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from facegen import _native, processors
from facegen.train.augment.arrays import check_amounts, check_pictures

INTERPOLATIONS = ("bilinear", "bicubic")
BORDERS = ("mirror", "black")


def translation(x: Any, y: Any) -> np.ndarray:
    """Moves the picture right by `x` and down by `y`, in shares of its width and height."""
    return _matrix([[1, 0, -2 * np.asarray(x)], [0, 1, -2 * np.asarray(y)]])


def rotation(angle: Any) -> np.ndarray:
    """Turns clockwise by `angle` in degrees; pictures are square."""
    turn = np.radians(angle)
    cos, sin = np.cos(turn), np.sin(turn)
    return _matrix([[cos, sin, 0], [-sin, cos, 0]])


def scaling(zoom: Any) -> np.ndarray:
    """Enlarges by the factor `zoom` about the centre."""
    return stretch(zoom, zoom)


def stretch(x: Any, y: Any) -> np.ndarray:
    """Enlarges by a factor of its own in each direction."""
    return _matrix([[1 / np.asarray(x, float), 0, 0], [0, 1 / np.asarray(y, float), 0]])


def shear(angle: Any) -> np.ndarray:
    """Leans upright lines to the right by `angle` in degrees."""
    return _matrix([[1, np.tan(np.radians(angle)), 0], [0, 1, 0]])


def affine(x: Any, y: Any, turn: Any, lean: Any, wide: Any, high: Any) -> np.ndarray:
    """``translation(x, y) @ rotation(turn) @ shear(lean) @ stretch(wide, high)``, in degrees.

    All four at once: drawing a batch's changes took four times as long by products of matrices.
    """
    angle, slope = np.radians(turn), np.tan(np.radians(lean))
    cos, sin = np.cos(angle), np.sin(angle)
    per_x, per_y = 1 / np.asarray(wide, float), 1 / np.asarray(high, float)
    return _matrix(
        [
            [cos * per_x, (cos * slope + sin) * per_y, -2 * np.asarray(x)],
            [-sin * per_x, (cos - sin * slope) * per_y, -2 * np.asarray(y)],
        ]
    )


def mirror(which: Any) -> np.ndarray:
    """Mirror images where `which`, (n,) bool, is set."""
    return _matrix([[np.where(which, -1.0, 1.0), 0, 0], [0, 1, 0]])


def _matrix(rows: list[list[Any]]) -> np.ndarray:
    numbers = [np.asarray(number) for number in (*rows[0], *rows[1])]
    matrix = np.zeros((*np.broadcast(*numbers).shape, 3, 3))
    for i, number in enumerate(numbers):
        matrix[..., i // 3, i % 3] = number
    matrix[..., 2, 2] = 1
    return matrix


def warp(
    pictures: Any,
    matrix: Any,
    lens: Any = None,
    side: int | None = None,
    *,
    interpolation: str = "bilinear",
    border: str = "mirror",
    threads: int | None = None,
) -> np.ndarray:
    """Resample pictures; what lies outside is mirrored in.

    Parameters
    ----------
    pictures
        (n, h, w, 3) or (n, h, w, 1), float32
    matrix
        (n, 3, 3), from points of the result to points of the picture. Where the last row is not
        (0, 0, 1), points are divided by the third number: a change of perspective.
    lens
        (n,) radial distortion: a point at radius r (1 at the middle of an edge) shows what is at
        r (1 + lens r^2). Positive is a barrel, negative a pincushion.
    side
        Of the result, (n, side, side, c); the pictures' own height and width if None.
    interpolation
        "bilinear", or "bicubic": sharper where a picture is enlarged; may leave the values' range.
    border
        "mirror", or "black": 0 outside.
    threads
        Of the CPU; None: one a processor. The result does not depend on it.

    Raises
    ------
    ValueError
        Arrays of other shapes, or amounts that are not finite.
    """
    pictures = check_pictures(pictures)
    n, height, width, channels = pictures.shape
    if side is not None:
        height = width = side
    result = np.empty((n, height, width, channels), np.float32)
    _native.warp(pictures, *_arguments(n, matrix, lens), result,
                 *_choices(interpolation, border), _threads(threads))
    return result


def warp_adjoint(
    gradient: Any,
    matrix: Any,
    lens: Any = None,
    shape: tuple[int, int] | None = None,
    *,
    interpolation: str = "bilinear",
    border: str = "mirror",
    threads: int | None = None,
) -> np.ndarray:
    """The gradient in the pictures, (n, h, w, c), of one in `warp`'s result.

    `shape` is the pictures' height and width, the result's if None; the others are `warp`'s own.
    """
    gradient = check_pictures(gradient)
    n, height, width, channels = gradient.shape
    result = np.empty((n, *(shape or (height, width)), channels), np.float32)
    _native.warp_adjoint(gradient, *_arguments(n, matrix, lens), result,
                         *_choices(interpolation, border), _threads(threads))
    return result


def horizontal_flip(pictures: Any, which: Any) -> np.ndarray:
    """Mirror those of the pictures where `which`, (n,) bool, is set."""
    pictures = check_pictures(pictures)
    flipped = pictures.copy()
    flipped[which] = pictures[which, :, ::-1]
    return flipped


def _arguments(n: int, matrix: Any, lens: Any) -> tuple[np.ndarray, np.ndarray]:
    matrices = check_amounts("matrix", matrix, (n, 3, 3))
    return matrices, check_amounts("lens", np.zeros(n) if lens is None else lens, (n,))


def _choices(interpolation: str, border: str) -> tuple[bool, bool]:
    if interpolation not in INTERPOLATIONS:
        raise ValueError(f"interpolation: expected {INTERPOLATIONS}, found {interpolation!r}")
    if border not in BORDERS:
        raise ValueError(f"border: expected {BORDERS}, found {border!r}")
    return interpolation == "bicubic", border == "mirror"


def _threads(threads: int | None) -> int:
    return processors.count() if threads is None else threads
