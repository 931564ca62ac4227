"""Colours changed, by an amount for each picture."""

from __future__ import annotations

import torch
from torch import Tensor

# Luma of ITU-R BT.601.
_LUMA = (0.299, 0.587, 0.114)


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
