"""What a name in an ONNX graph stands for: floats of a tensor of our graph, in some order.

ONNX has maps as (n, channels, height, width), our graph as (n, height, width, channels). Where each
of ONNX's elements lies among a tensor's floats is all there is to know; then reshapes and
transposes cost nothing, and the layer that reads their result puts its weights in that order.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facegen.nn import Shape, Tensor

Order = NDArray[np.intp]

# Positions take 8 bytes each, and the shapes that a file states cost it none.
MOST_REORDERED = 2**26


@dataclass(frozen=True)
class Value:
    """Floats of `tensor`, which the file has in `shape` (without the batch).

    `order` has that shape and tells for each element where it lies among the floats of `tensor`;
    None where they lie as the map of that shape: channels last. No float is there twice; some of
    the tensor's may be left out, as after a split.
    """

    tensor: Tensor
    shape: tuple[int, ...]
    order: Order | None = None

    @property
    def positions(self) -> Order:
        """`order`, or what None stands for."""
        return channels_last(self.shape) if self.order is None else self.order

    @property
    def whole(self) -> bool:
        """Whether every float of `tensor` is among the file's."""
        return self.order is None or self.order.size == self.tensor.shape.floats

    def viewed(self, positions: Order) -> Value:
        """The same floats as the file has them after it moved them to these positions."""
        shape = positions.shape
        plain = (
            1 <= len(shape) <= 3
            and self.tensor.shape == map_shape(shape)
            and np.array_equal(positions, channels_last(shape))
        )
        return Value(self.tensor, shape, None if plain else positions)


def channels_last(shape: tuple[int, ...]) -> Order:
    """Where (channels, ...) lie in a map.

    Raises
    ------
    ValueError
        They are more than `MOST_REORDERED`.
    """
    if not shape:
        return np.zeros((), np.intp)
    count = math.prod(shape)
    if count > MOST_REORDERED:
        raise ValueError(
            f"expected at most {MOST_REORDERED:,} numbers to reorder, found (n, "
            f"{', '.join(map(str, shape))}), which has {count:,}"
        )
    return np.moveaxis(np.arange(count).reshape(*shape[1:], shape[0]), -1, 0)


def map_shape(shape: tuple[int, ...]) -> Shape:
    """The shape in our graph of (channels), (channels, width) or (channels, height, width)."""
    if not 1 <= len(shape) <= 3:
        expected = "(n, channels), (n, channels, width) or (n, channels, height, width)"
        raise ValueError(f"expected an array {expected}, found one of {len(shape) + 1} dimensions")
    channels, *sides = shape
    height, width = [1] * (2 - len(sides)) + sides
    return Shape(height, width, channels)
