"""A part of each picture hidden (DeVries and Taylor 2017)."""

from __future__ import annotations

import torch
from torch import Tensor


def cutout(pictures: Tensor, x: Tensor, y: Tensor, share: float) -> Tensor:
    """Greys out a square, `share` of the side, about `x`, `y`: each (n,), 0 to 1 in the picture."""
    height, width = pictures.shape[2:]
    column = (torch.arange(width, device=pictures.device) + 0.5) / width
    row = (torch.arange(height, device=pictures.device) + 0.5) / height
    inside_x = (column - x.view(-1, 1)).abs() < share / 2  # (n, w)
    inside_y = (row - y.view(-1, 1)).abs() < share / 2  # (n, h)
    hidden = inside_y.view(-1, 1, height, 1) & inside_x.view(-1, 1, 1, width)
    return pictures.masked_fill(hidden, 0.0)
