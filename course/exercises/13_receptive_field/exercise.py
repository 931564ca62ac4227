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
    raise NotImplementedError("YOUR CODE")


def multiply_adds(stack: list[Conv], side: int) -> int:
    """Of all layers, for an input of side x side pixels; each makes ceil(side / stride) rows."""
    raise NotImplementedError("YOUR CODE")


# END
