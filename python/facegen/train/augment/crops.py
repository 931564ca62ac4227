"""Parts of pictures: one of a random size and place, or ten of them to average over."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from facegen.train.augment.draws import uniform
from facegen.train.augment.geometry import scaling, translation, warp


def random_resized_crop(
    pictures: Tensor,
    side: int,
    generator: torch.Generator,
    scale: tuple[float, float] = (0.6, 1.0),
) -> Tensor:
    """A square of a random size and place of each picture, resized to (n, c, side, side).

    `scale` is the least and the largest side of the square, as a share of the picture's.
    """
    n, device = len(pictures), pictures.device
    share = uniform(n, *scale, device, generator)
    room = (1 - share) / 2  # of the square's centre to either side
    x, y = (uniform(n, -1.0, 1.0, device, generator) * room for _ in range(2))
    return warp(pictures, translation(x, y) @ scaling(1 / share), side=side)


def multi_crop(pictures: Tensor, side: int) -> Tensor:
    """The corners, the centre and their mirror images: (n, 10, c, side, side)."""
    height, width = pictures.shape[2:]
    if not 0 < side <= min(height, width):
        raise ValueError(f"crops of side {side} do not fit pictures of {height} x {width}")
    bottom, right = height - side, width - side
    places = [(0, 0), (0, right), (bottom, 0), (bottom, right), (bottom // 2, right // 2)]
    crops = [pictures[:, :, y : y + side, x : x + side] for y, x in places]
    return torch.stack([*crops, *(crop.flip(3) for crop in crops)], dim=1)


def average_over_crops(
    predict: Callable[[Tensor], Tensor], pictures: Tensor, side: int
) -> Tensor:
    """A classifier's prediction averaged over the ten crops of each picture, (n, ...)."""
    crops = multi_crop(pictures, side)
    n, views = crops.shape[:2]
    predictions = predict(crops.flatten(0, 1))
    return predictions.view(n, views, *predictions.shape[1:]).mean(dim=1)
