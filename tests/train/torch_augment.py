"""Augmentation in PyTorch, kind by kind: what `facegen.train.augment` is compared with.

Pictures are tensors (n, c, h, w) with values in -1 to 1, and amounts (n,).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

# Luma of ITU-R BT.601.
_LUMA = (0.299, 0.587, 0.114)


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


def brightness(pictures: Tensor, amount: Tensor) -> Tensor:
    """Adds `amount`; the values span 2."""
    return pictures + amount.view(-1, 1, 1, 1)


def contrast(pictures: Tensor, factor: Tensor) -> Tensor:
    """Multiplies the differences from each picture's mean."""
    mean = pictures.mean(dim=(1, 2, 3), keepdim=True)
    return mean + (pictures - mean) * factor.view(-1, 1, 1, 1)


def saturation(pictures: Tensor, factor: Tensor) -> Tensor:
    """Multiplies the differences from grey: 0 is a grey picture, 1 changes nothing."""
    grey = (pictures * _luma(pictures)).sum(dim=1, keepdim=True)
    return grey + (pictures - grey) * factor.view(-1, 1, 1, 1)


def hue(pictures: Tensor, angle: Tensor) -> Tensor:
    """Turns the colours about the axis of grey by `angle` in degrees (Rodrigues' formula)."""
    turn = torch.deg2rad(angle)
    axis = 3**-0.5
    cross = torch.tensor([[0.0, -1, 1], [1, 0, -1], [-1, 1, 0]], device=pictures.device) * axis
    cos, sin = turn.cos().view(-1, 1, 1), turn.sin().view(-1, 1, 1)
    matrix = cos * torch.eye(3, device=pictures.device) + sin * cross + (1 - cos) * axis**2
    return torch.einsum("nij,njhw->nihw", matrix.to(pictures.dtype), pictures)


def colour_axes(pictures: Tensor) -> Tensor:
    """Principal axes of the colours of all pixels, each of length one standard deviation, (3, 3).

    Row i is axis i: `pca_jitter` adds multiples of the rows.
    """
    pixels = pictures.transpose(0, 1).reshape(pictures.shape[1], -1).double()
    values, vectors = torch.linalg.eigh(torch.cov(pixels))
    return (vectors * values.clamp(min=0).sqrt()).mT.to(pictures.dtype)


def pca_jitter(pictures: Tensor, amounts: Tensor, axes: Tensor) -> Tensor:
    """Shifts each picture along the colour axes (Krizhevsky et al. 2012); `amounts` is (n, 3)."""
    return pictures + (amounts @ axes).view(-1, 3, 1, 1)


def _luma(pictures: Tensor) -> Tensor:
    return torch.tensor(_LUMA, device=pictures.device, dtype=pictures.dtype).view(1, 3, 1, 1)


def cutout(pictures: Tensor, x: Tensor, y: Tensor, share: float) -> Tensor:
    """Greys out a square, `share` of the side, about `x`, `y`: each (n,), 0 to 1 in the picture."""
    height, width = pictures.shape[2:]
    column = (torch.arange(width, device=pictures.device) + 0.5) / width
    row = (torch.arange(height, device=pictures.device) + 0.5) / height
    inside_x = (column - x.view(-1, 1)).abs() < share / 2  # (n, w)
    inside_y = (row - y.view(-1, 1)).abs() < share / 2  # (n, h)
    hidden = inside_y.view(-1, 1, height, 1) & inside_x.view(-1, 1, 1, width)
    return pictures.masked_fill(hidden, 0.0)
