"""Parts of pictures: one of a random size and place, or ten of them to average over."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from facegen.train.augment.arrays import check_pictures
from facegen.train.augment.draws import Random, uniforms
from facegen.train.augment.geometry import scaling, translation, warp


def random_resized_crop(
    pictures: Any,
    side: int,
    random: Random,
    scale: tuple[float, float] = (0.6, 1.0),
    *,
    interpolation: str = "bilinear",
    threads: int | None = None,
) -> np.ndarray:
    """A square of a random size and place of each picture, resized to (n, side, side, c).

    `scale` is the least and the largest side of the square, as a share of the picture's.
    """
    size, x, y = uniforms(len(pictures), 3, random).T
    share = scale[0] + (scale[1] - scale[0]) * size
    room = (1 - share) / 2  # of the square's centre to either side
    matrix = translation((2 * x - 1) * room, (2 * y - 1) * room) @ scaling(1 / share)
    return warp(pictures, matrix, side=side, interpolation=interpolation, threads=threads)


def multi_crop(pictures: Any, side: int) -> np.ndarray:
    """The corners, the centre and their mirror images: (n, 10, side, side, c)."""
    pictures = check_pictures(pictures)
    height, width = pictures.shape[1:3]
    if not 0 < side <= min(height, width):
        raise ValueError(f"crops of side {side} do not fit pictures of {height} x {width}")
    bottom, right = height - side, width - side
    places = [(0, 0), (0, right), (bottom, 0), (bottom, right), (bottom // 2, right // 2)]
    crops = [pictures[:, y : y + side, x : x + side] for y, x in places]
    return np.stack([*crops, *(crop[:, :, ::-1] for crop in crops)], axis=1)


def average_over_crops(
    predict: Callable[[np.ndarray], np.ndarray], pictures: Any, side: int
) -> np.ndarray:
    """A classifier's prediction averaged over the ten crops of each picture, (n, ...)."""
    crops = multi_crop(pictures, side)
    n, views = crops.shape[:2]
    predictions = np.asarray(predict(crops.reshape(-1, *crops.shape[2:])))
    return predictions.reshape(n, views, *predictions.shape[1:]).mean(axis=1)
