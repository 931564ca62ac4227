"""How images lie in the arrays of one call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from facegen.nn.program import View

LAYOUTS = {"NHWC": (0, 1, 2, 3), "NCHW": (0, 2, 3, 1)}  # where n, height, width, channels are


class Form(NamedTuple):
    """What the numbers of a call's arrays stand for.

    Attributes
    ----------
    layout
        One of `LAYOUTS`, of inputs and outputs alike.
    pixels
        uint8 in the inputs stand for -1 to 1, not for 0 to 255.
    as_pixels
        Results are uint8 that stand for -1 to 1.
    """

    layout: str
    pixels: bool
    as_pixels: bool


def overlaps_itself(shape: Sequence[int], strides: Sequence[int]) -> bool:
    """Whether several elements of an array may lie in one place, as in one that is broadcast."""
    reach = 0  # from the first element of the finer dimensions to their last
    for stride, size in sorted(
        (abs(stride), size) for stride, size in zip(strides, shape, strict=True) if size > 1
    ):
        if stride <= reach:
            return True
        reach += stride * (size - 1)
    return False


def shape_in(layout: str, count: int, view: View) -> tuple[int, ...]:
    """The shape of an array of `count` images of a view."""
    if layout == "NHWC":
        return (count, view.height, view.width, view.channels)
    return (count, view.channels, view.height, view.width)


def count_of(shapes: Sequence[tuple[int, ...]], views: Sequence[View], layout: str) -> int:
    """How many images arrays of these shapes hold, each.

    Raises
    ------
    ValueError
        A shape is not that of its view, or the arrays have unequal n.
    """
    for shape, view in zip(shapes, views, strict=True):
        expected = shape_in(layout, 0, view)[1:]
        vector = view.height == view.width == 1 and tuple(shape[1:]) == (view.channels,)
        if tuple(shape[1:]) != expected and not vector or len(shape) < 2:
            fits = [each for each in LAYOUTS if tuple(shape[1:]) == shape_in(each, 0, view)[1:]]
            hint = f"; pass layout={fits[0]!r}" if fits else ""
            raise ValueError(
                f"expected an array of shape (n, {', '.join(map(str, expected))}), "
                f"found {tuple(shape)}{hint}"
            )
    counts = [shape[0] for shape in shapes]
    if len(set(counts)) > 1:
        raise ValueError(f"batches of unequal size: {counts}")
    return counts[0] if counts else 0


def as_nhwc(x: np.ndarray, layout: str) -> np.ndarray:
    """A view of the same values as (n, height, width, channels)."""
    if x.ndim == 2:  # maps of one pixel
        return x[:, None, None, :]
    return x.transpose(LAYOUTS[layout])
