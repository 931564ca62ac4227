"""A `Change` of `facegen.train.augment`, made by PyTorch: on a GPU, with gradients."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from facegen.train.augment import Change


def apply(change: Change, pictures: Tensor) -> Tensor:
    """What ``change(pictures)`` is, of pictures (n, 3, h, w); bilinear, mirrored."""

    def numbers(values: Any) -> Tensor:
        return torch.as_tensor(values, dtype=torch.float32, device=pictures.device)

    if change.mirrored is not None:
        which = torch.as_tensor(change.mirrored, device=pictures.device)
        pictures = torch.where(which.view(-1, 1, 1, 1), pictures.flip(3), pictures)
    if change.matrix is not None:
        lens = None if change.lens is None else numbers(change.lens)
        pictures = _warp(pictures, numbers(change.matrix), lens)
    if change.colour is not None:
        matrix = numbers(change.colour).to(pictures.dtype)
        mean = pictures.mean(dim=(2, 3))
        shift = torch.einsum("nij,nj->ni", matrix[:, :3, 3:6], mean) + matrix[:, :3, 6]
        turned = torch.einsum("nij,njhw->nihw", matrix[:, :3, :3], pictures)
        pictures = turned + shift[:, :, None, None]
    if change.hidden is not None:
        pictures = pictures.masked_fill(_hidden(change, pictures), 0.0)
    return pictures


def _warp(pictures: Tensor, matrix: Tensor, lens: Tensor | None) -> Tensor:
    n, channels, height, width = pictures.shape
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


def _hidden(change: Change, pictures: Tensor) -> Tensor:
    height, width = pictures.shape[2:]
    x, y = torch.as_tensor(change.hidden, device=pictures.device)
    column = (torch.arange(width, device=pictures.device) + 0.5) / width
    row = (torch.arange(height, device=pictures.device) + 0.5) / height
    inside_x = (column - x.view(-1, 1)).abs() < change.hidden_share / 2  # (n, w)
    inside_y = (row - y.view(-1, 1)).abs() < change.hidden_share / 2  # (n, h)
    return inside_y.view(-1, 1, height, 1) & inside_x.view(-1, 1, 1, width)
