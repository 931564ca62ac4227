"""Windows that slide over an image: kernel, stride, padding and dilation, one axis at a time.

The one place where "an int or a pair" becomes two axes and where output sizes are computed. Every
number of a window, the reach of its taps, a map's sides with padding and its channels are at most
`MOST_POSITIONS`: engines compute positions in 32 bits, as sums of up to three of them.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from facegen._native import MOST_POSITIONS

IntOrPair = int | Sequence[int]  # one for both axes, or (vertical, horizontal)
Padding = int | Sequence[int] | Sequence[Sequence[int]]  # also ((top, bottom), (left, right))


def pair(value: IntOrPair, name: str, minimum: int) -> tuple[int, int]:
    """`value` as (vertical, horizontal), each checked to be from `minimum` to `MOST_POSITIONS`."""
    try:
        first, second = (value, value) if not isinstance(value, Sequence) else value
        result = operator.index(first), operator.index(second)
    except (TypeError, ValueError):
        raise ValueError(f"{name} must be an int or a pair of ints, not {value!r}") from None
    if min(result) < minimum:
        raise ValueError(f"{name} must be at least {minimum}, not {value!r}")
    if max(result) > MOST_POSITIONS:
        raise ValueError(f"{name} must be at most {MOST_POSITIONS}, not {value!r}")
    return result


def padding_pairs(value: Padding) -> tuple[tuple[int, int], tuple[int, int]]:
    """`value` as ((top, bottom), (left, right))."""
    sides: Sequence[Any] = value if isinstance(value, Sequence) and len(value) == 2 else [value] * 2
    return pair(sides[0], "padding", 0), pair(sides[1], "padding", 0)


@dataclass(frozen=True)
class WindowAxis:
    """A window along one axis; all in pixels."""

    kernel: int
    stride: int
    pad_front: int
    pad_back: int
    dilation: int = 1

    @property
    def reach(self) -> int:
        """Pixels from the first that a window reads to its last, both included."""
        return (self.kernel - 1) * self.dilation + 1

    def padded(self, size: int) -> int:
        """`size` inputs with the padding; ValueError where there are too many."""
        padded = size + self.pad_front + self.pad_back
        if padded > MOST_POSITIONS:
            raise ValueError(f"{size} pixels with padding are {padded}, more than {MOST_POSITIONS}")
        return padded

    def conv_size(self, size: int) -> int:
        """Outputs of a convolution over `size` inputs; 0 or less where the window does not fit."""
        return (self.padded(size) - self.reach) // self.stride + 1

    def conv_transpose_size(self, size: int, output_padding: int) -> int:
        """Outputs of a transposed convolution over `size` inputs."""
        return (
            (size - 1) * self.stride + self.kernel - self.pad_front - self.pad_back + output_padding
        )

    def pool_size(self, size: int, ceil_mode: bool) -> int:
        """Outputs of a pooling over `size` inputs.

        In ceil mode a last, partial window counts if it starts inside the input or the front
        padding (PyTorch's definition; Caffe's is the same).
        """
        if not ceil_mode:
            return self.conv_size(size)
        span = self.padded(size) - self.kernel
        outputs = -(-span // self.stride) + 1
        if (outputs - 1) * self.stride >= size + self.pad_front:
            outputs -= 1
        return outputs


def window(
    kernel: IntOrPair, stride: IntOrPair = 1, padding: Padding = 0, dilation: IntOrPair = 1
) -> tuple[WindowAxis, WindowAxis]:
    """The vertical and the horizontal axis of a window; raises ValueError on nonsense."""
    kernels = pair(kernel, "kernel", 1)
    strides = pair(stride, "stride", 1)
    paddings = padding_pairs(padding)
    dilations = pair(dilation, "dilation", 1)
    vertical, horizontal = (
        WindowAxis(kernels[i], strides[i], *paddings[i], dilations[i]) for i in range(2)
    )
    for axis in (vertical, horizontal):
        if axis.reach > MOST_POSITIONS:
            raise ValueError(
                f"a kernel of {axis.kernel} with dilation {axis.dilation} reaches over "
                f"{axis.reach} pixels, more than {MOST_POSITIONS}"
            )
    return vertical, horizontal
