"""Whether floats of a map are some of its rows, columns and channels."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from facegen.nn import Shape
from facegen.onnx_files.value import Order

Range = tuple[int, int, int]  # first, count, step


class Part(NamedTuple):
    """Rows, columns and channels of a map; None for all of them, in their order."""

    rows: Range | None
    columns: Range | None
    channels: Order | None


def part_of(positions: Order, shape: Shape) -> Part | None:
    """The part of a map of that shape which has its floats at these positions (channels, h, w).

    None where they are of no part. Where all pixels are there they may be of another height and
    width, as after a reshape.
    """
    total, width = shape.channels, shape.width
    channels = positions[:, 0, 0] % total
    own = None if np.array_equal(channels, np.arange(total)) else channels
    pixels = positions[0] // total
    if not np.array_equal(positions, pixels * total + channels[:, np.newaxis, np.newaxis]):
        return None
    if pixels.size == shape.height * width and np.array_equal(
        pixels.ravel(), np.arange(pixels.size)
    ):
        return Part(None, None, own)
    rows, columns = pixels[:, 0] // width, pixels[0] % width
    if not np.array_equal(pixels, rows[:, np.newaxis] * width + columns):
        return None
    ranges = [_range(each, size) for each, size in ((rows, shape.height), (columns, width))]
    if any(each is None for each in ranges):
        return None
    return Part(ranges[0] or None, ranges[1] or None, own)  # type: ignore[arg-type]


def box_of(floats: Order, shape: Shape) -> Order | None:
    """Ascending floats of a map of that shape as (channels, h, w); None where they are no box.

    A box has some rows, columns and channels, and all floats where they meet.
    """
    height, width, channels = (len(np.unique(each)) for each in np.unravel_index(floats, shape))
    if height * width * channels != floats.size:
        return None
    return np.moveaxis(floats.reshape(height, width, channels), -1, 0)


def _range(positions: Order, size: int) -> Range | tuple[()] | None:
    """(first, count, step); () for all; None where the steps differ."""
    first, count = int(positions[0]), len(positions)
    step = int(positions[1]) - first if count > 1 else 1
    if step == 0 or not np.array_equal(positions, first + step * np.arange(count)):
        return None
    return () if (first, count, step) == (0, size, 1) else (first, count, step)
