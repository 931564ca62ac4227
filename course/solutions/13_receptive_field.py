"""Exercise 13: what a stack of layers sees, and what it costs."""

from __future__ import annotations

from typing import NamedTuple


class Conv(NamedTuple):
    """A square convolution of a square map, padded so that stride 1 keeps its size."""

    kernel: int
    stride: int
    in_channels: int
    out_channels: int


def receptive_field(stack: list[Conv]) -> int:
    """Rows of the input that one output of the last layer depends on."""
    # YOUR CODE: this function, and the one below.
    rows, step = 1, 1  # `step`: input rows between two neighbouring outputs
    for conv in stack:
        rows += (conv.kernel - 1) * step
        step *= conv.stride
    return rows


def multiply_adds(stack: list[Conv], side: int) -> int:
    """Of all layers, for an input of side x side pixels; each makes ceil(side / stride) rows."""
    total = 0
    for conv in stack:
        side = -(-side // conv.stride)
        total += side * side * conv.kernel**2 * conv.in_channels * conv.out_channels
    return total


# END
