"""What every layer of a network is: plain data that knows its output shape and parameters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Shape(NamedTuple):
    """Sizes of one image: pixels down, pixels across, channels."""

    height: int
    width: int
    channels: int

    def __str__(self) -> str:
        return f"{self.height}x{self.width}x{self.channels}"

    @property
    def floats(self) -> int:
        return self.height * self.width * self.channels


class Layer:
    """What a graph is made of: a frozen dataclass with these three methods."""

    def output_shape(self, *inputs: Shape) -> Shape:
        """The output's shape; ValueError where the inputs do not suit the layer."""
        (x,) = self._take(1, inputs)
        return x

    def parameters(self) -> dict[str, tuple[int, ...]]:
        """Shape of every parameter by its name within the layer, in order."""
        return {}

    def flops(self, *inputs: Shape) -> int:
        """Floating-point operations of one image: 2 a multiply-add.

        Multiplications by zeros, outside the input or inserted by a transposed convolution, do not
        count; nor does what is not a convolution or a linear layer.
        """
        return 0

    def _take(self, count: int, inputs: Sequence[Shape]) -> Sequence[Shape]:
        if len(inputs) != count:
            raise ValueError(f"{type(self).__name__} takes {count} input(s), not {len(inputs)}")
        return inputs

    def _take_channels(self, channels: int, inputs: Sequence[Shape]) -> Shape:
        (x,) = self._take(1, inputs)
        if x.channels != channels:
            raise ValueError(f"{type(self).__name__} expects {channels} channels, its input is {x}")
        return x
