"""Pictures moved, turned and bent.

All of it but the mirror is one resampling, `warp`. A 3x3 matrix takes a point of the result to the
point of the picture that is seen there, both in coordinates where the picture spans -1 to 1, x to
the right and y down: so a matrix product chains kinds, and pictures are interpolated once. The
functions that make matrices take amounts (n,) and give (n, 3, 3).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def translation(x: Tensor, y: Tensor) -> Tensor:
    """Moves the picture right by `x` and down by `y`, in shares of its width and height."""
    one, zero = torch.ones_like(x), torch.zeros_like(x)
    return _matrix([one, zero, -2 * x], [zero, one, -2 * y])


def rotation(angle: Tensor) -> Tensor:
    """Turns clockwise by `angle` in degrees; pictures are square."""
    turn = torch.deg2rad(angle)
    cos, sin, zero = turn.cos(), turn.sin(), torch.zeros_like(turn)
    return _matrix([cos, sin, zero], [-sin, cos, zero])


def scaling(zoom: Tensor) -> Tensor:
    """Enlarges by the factor `zoom` about the centre."""
    return stretch(zoom, zoom)


def stretch(x: Tensor, y: Tensor) -> Tensor:
    """Enlarges by a factor of its own in each direction."""
    zero = torch.zeros_like(x)
    return _matrix([1 / x, zero, zero], [zero, 1 / y, zero])


def shear(angle: Tensor) -> Tensor:
    """Leans upright lines to the right by `angle` in degrees."""
    one, zero = torch.ones_like(angle), torch.zeros_like(angle)
    return _matrix([one, torch.deg2rad(angle).tan(), zero], [zero, one, zero])


def _matrix(first: list[Tensor], second: list[Tensor]) -> Tensor:
    last = torch.zeros_like(first[0]), torch.zeros_like(first[0]), torch.ones_like(first[0])
    rows = [torch.stack(row, dim=-1) for row in (first, second, last)]
    return torch.stack(rows, dim=-2)


def warp(
    pictures: Tensor, matrix: Tensor, lens: Tensor | None = None, side: int | None = None
) -> Tensor:
    """Resample pictures bilinearly; what lies outside is mirrored in.

    Parameters
    ----------
    pictures
        (n, c, h, w)
    matrix
        (n, 3, 3), from points of the result to points of the picture.
    lens
        (n,) radial distortion: a point at radius r (1 at the middle of an edge) shows what is at
        r (1 + lens r^2). Positive is a barrel, negative a pincushion.
    side
        Of the result, (n, c, side, side); the pictures' own height and width if None.
    """
    n, channels, height, width = pictures.shape
    if side is not None:
        height = width = side
    identity = torch.eye(2, 3, device=pictures.device).expand(n, 2, 3)
    points = functional.affine_grid(identity, [n, channels, height, width], align_corners=False)
    if lens is not None:
        radius2 = points.square().sum(dim=-1, keepdim=True)
        points = points * (1 + lens.view(n, 1, 1, 1) * radius2)
    flat = points.reshape(n, -1, 2) @ matrix[:, :2, :2].mT + matrix[:, None, :2, 2]
    points = flat.view(n, height, width, 2).to(pictures.dtype)
    return functional.grid_sample(
        pictures, points, mode="bilinear", padding_mode="reflection", align_corners=False
    )


def horizontal_flip(pictures: Tensor, which: Tensor) -> Tensor:
    """Mirror those of the pictures where `which`, (n,) bool, is set."""
    return torch.where(which.view(-1, 1, 1, 1), pictures.flip(3), pictures)
