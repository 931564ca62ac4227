"""The layers of sums of products: convolutions of both kinds, and linear ones.

Weights are in the canonical layouts: conv2d and conv_transpose2d (out, kernel height, kernel width,
in), linear (out, in). Of several groups, each output reads the inputs of its own group alone, and
"in" counts these.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import NamedTuple

from facegen.cached import cached_property
from facegen.nn.layer import Layer, Shape
from facegen.nn.phases import conv_phases, conv_transpose_phases
from facegen.nn.program import Phase
from facegen.nn.window import IntOrPair, Padding, WindowAxis, pair, window

# Channels of a step that several groups share. Below 16, vectors are not full; above 32, more
# products are of zeros.
_JOINED_CHANNELS = 32


class Part(NamedTuple):
    """Channels of neighbouring groups that are computed together."""

    groups: int
    first_in: int
    in_channels: int
    first_out: int
    out_channels: int


class GemmLayer(Layer, ABC):
    """A layer of sums of products, which becomes an indirect GEMM for each of its phases."""

    in_channels: int
    out_channels: int
    bias: bool
    groups: int = 1
    binary: bool = False

    def __post_init__(self) -> None:
        _positive(
            self, in_channels=self.in_channels, out_channels=self.out_channels, groups=self.groups
        )
        if self.in_channels % self.groups or self.out_channels % self.groups:
            raise ValueError(
                f"{self.groups} groups do not divide {self.in_channels} channels in and "
                f"{self.out_channels} out"
            )
        if self.binary and self.groups > 1:
            raise ValueError(f"a binary layer has one group, not {self.groups}")

    @property
    def is_depthwise(self) -> bool:
        """Whether it is a convolution of each channel by itself."""
        return False

    @cached_property
    def parts(self) -> tuple[Part, ...]:
        """How the groups are joined: some of them, or all where there is one."""
        ins, outs = self.in_channels // self.groups, self.out_channels // self.groups
        joined = max(1, _JOINED_CHANNELS // max(ins, outs))
        parts = []
        for first in range(0, self.groups, joined):
            count = min(joined, self.groups - first)
            parts.append(Part(count, first * ins, count * ins, first * outs, count * outs))
        return tuple(parts)

    @property
    @abstractmethod
    def axes(self) -> tuple[WindowAxis, WindowAxis]:
        """The axes of the window: vertical, horizontal."""

    @property
    def kernel_size(self) -> tuple[int, int]:
        """(height, width) of the window."""
        return self.axes[0].kernel, self.axes[1].kernel

    @property
    def weight_shape(self) -> tuple[int, ...]:
        return self.out_channels, *self.kernel_size, self.in_channels // self.groups

    def parameters(self) -> dict[str, tuple[int, ...]]:
        shapes = {"weight": self.weight_shape}
        return {**shapes, "bias": (self.out_channels,)} if self.bias else shapes

    @abstractmethod
    def phases(self, x: Shape) -> tuple[Phase, ...]:
        """How an input of shape `x` becomes the rows of the GEMMs."""

    def flops(self, *inputs: Shape) -> int:
        (x,) = self._take(1, inputs)
        taps = sum(p.y.valid_taps(x.height) * p.x.valid_taps(x.width) for p in self.phases(x))
        return 2 * taps * x.channels // self.groups * self.out_channels


@dataclass(frozen=True)
class Conv2d(GemmLayer):
    """Convolution: output o is ``bias + sum_r weight[r] x[o*stride + r*dilation - pad]``.

    With as many `groups` as channels in and out it is depthwise: each channel by itself. A `binary`
    one multiplies by the signs of its weights, of which that of 0 is 1: see :class:`Linear`.
    """

    in_channels: int
    out_channels: int
    kernel: IntOrPair
    stride: IntOrPair = 1
    padding: Padding = 0
    dilation: IntOrPair = 1
    bias: bool = True
    groups: int = 1
    binary: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        _ = self.axes  # checks the window

    @property
    def is_depthwise(self) -> bool:
        return 1 < self.groups == self.in_channels == self.out_channels

    @cached_property
    def axes(self) -> tuple[WindowAxis, WindowAxis]:
        return window(self.kernel, self.stride, self.padding, self.dilation)

    def output_shape(self, *inputs: Shape) -> Shape:
        x = self._take_channels(self.in_channels, inputs)
        height, width = self.axes[0].conv_size(x.height), self.axes[1].conv_size(x.width)
        if height < 1 or width < 1:
            raise ValueError(f"the window of {self} does not fit into its input {x}")
        return Shape(height, width, self.out_channels)

    def phases(self, x: Shape) -> tuple[Phase, ...]:
        return conv_phases(self.axes, self.output_shape(x)[:2])


@dataclass(frozen=True)
class ConvTranspose2d(GemmLayer):
    """Transposed convolution: input i adds ``weight[r] x[i]`` to output ``i*stride + r - pad``."""

    in_channels: int
    out_channels: int
    kernel: IntOrPair
    stride: IntOrPair = 1
    padding: Padding = 0
    output_padding: IntOrPair = 0
    bias: bool = True
    groups: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        _ = self.axes, pair(self.output_padding, "output_padding", 0)

    @cached_property
    def axes(self) -> tuple[WindowAxis, WindowAxis]:
        return window(self.kernel, self.stride, self.padding)

    def output_shape(self, *inputs: Shape) -> Shape:
        x = self._take_channels(self.in_channels, inputs)
        extra = pair(self.output_padding, "output_padding", 0)
        height = self.axes[0].conv_transpose_size(x.height, extra[0])
        width = self.axes[1].conv_transpose_size(x.width, extra[1])
        if height < 1 or width < 1:
            raise ValueError(f"the padding of {self} leaves nothing of its input {x}")
        return Shape(height, width, self.out_channels)

    def phases(self, x: Shape) -> tuple[Phase, ...]:
        return conv_transpose_phases(self.axes, self.output_shape(x)[:2])


@dataclass(frozen=True)
class Linear(GemmLayer):
    """``y = weight @ x + bias`` over the channels of every pixel (usually of one, 1x1).

    A `binary` one multiplies by the signs of its weights. Where it reads signs too (what `Sign`
    makes), the CPU counts bits instead.
    """

    in_channels: int
    out_channels: int
    bias: bool = True
    binary: bool = False

    @cached_property
    def axes(self) -> tuple[WindowAxis, WindowAxis]:
        return window(1)

    def output_shape(self, *inputs: Shape) -> Shape:
        x = self._take_channels(self.in_channels, inputs)
        return Shape(x.height, x.width, self.out_channels)

    @property
    def weight_shape(self) -> tuple[int, ...]:
        return self.out_channels, self.in_channels

    def phases(self, x: Shape) -> tuple[Phase, ...]:
        return conv_phases(self.axes, x[:2])


def _positive(layer: Layer, **values: int) -> None:
    for name, value in values.items():
        if value < 1:
            raise ValueError(f"{name} of {type(layer).__name__} must be at least 1, not {value}")
