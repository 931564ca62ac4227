"""The layers that are no sums of products: norms, pools, and what joins and moves maps."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from facegen.cached import cached_property
from facegen.nn.layer import Layer, Shape
from facegen.nn.window import IntOrPair, Padding, WindowAxis, window

_MOST_EPS = 3.4e38  # about the largest float32


def _check_eps(eps: float) -> None:
    if not 0 <= eps <= _MOST_EPS:  # NaN is neither
        raise ValueError(f"eps must be from 0 to {_MOST_EPS:g}, not {eps!r:.40}")


@dataclass(frozen=True)
class BatchNorm(Layer):
    """``gamma * (x - mean) / sqrt(var + eps) + beta`` with the stored mean and variance."""

    channels: int
    eps: float = 1e-5

    def __post_init__(self) -> None:
        _check_eps(self.eps)

    def output_shape(self, *inputs: Shape) -> Shape:
        return self._take_channels(self.channels, inputs)

    def parameters(self) -> dict[str, tuple[int, ...]]:
        return {name: (self.channels,) for name in ("gamma", "beta", "mean", "var")}


class StatisticsNorm(Layer):
    """``gamma * (x - mean) / sqrt(var + eps) + beta``, mean and biased variance of the input."""

    channels: int
    eps: float

    def __post_init__(self) -> None:
        _check_eps(self.eps)

    def output_shape(self, *inputs: Shape) -> Shape:
        return self._take_channels(self.channels, inputs)

    def parameters(self) -> dict[str, tuple[int, ...]]:
        return {name: (self.channels,) for name in ("gamma", "beta")}


@dataclass(frozen=True)
class InstanceNorm(StatisticsNorm):
    """Batch norm's formula with the mean and biased variance of each image over its own pixels."""

    channels: int
    eps: float = 1e-5


@dataclass(frozen=True)
class GroupNorm(StatisticsNorm):
    """Instance norm whose statistics are those of groups of neighbouring channels."""

    groups: int
    channels: int
    eps: float = 1e-5

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.groups < 1 or self.channels % self.groups:
            raise ValueError(f"{self.groups} groups do not divide {self.channels} channels")


@dataclass(frozen=True)
class LayerNorm(StatisticsNorm):
    """The same with the statistics of each pixel over its channels."""

    channels: int
    eps: float = 1e-5


@dataclass(frozen=True)
class LocalResponseNorm(Layer):
    """``x / (k + alpha / size * sum of x^2 over size channels around) ^ beta`` (AlexNet)."""

    size: int
    alpha: float = 1e-4
    beta: float = 0.75
    k: float = 1.0

    def __post_init__(self) -> None:
        if self.size < 1:
            raise ValueError(f"size must be at least 1, not {self.size}")


@dataclass(frozen=True)
class ChannelShuffle(Layer):
    """Channels of `groups` in turn: the first of each, then the second of each (ShuffleNet)."""

    groups: int

    def output_shape(self, *inputs: Shape) -> Shape:
        (x,) = self._take(1, inputs)
        if self.groups < 1 or x.channels % self.groups:
            raise ValueError(f"{self.groups} groups do not divide the channels of {x}")
        return x


class Blocks(Layer):
    """Pixels of square blocks as channels of one pixel, or the other way round.

    `depth_first`: the channels of a block's first pixel come first, then those of the next one
    (ONNX's "DCR"); else the pixels of the first channel, as PyTorch's pixel shuffles have them.
    """

    block: int
    depth_first: bool


@dataclass(frozen=True)
class DepthToSpace(Blocks):
    """Channels to the pixels of ``block`` x ``block`` blocks: see :class:`Blocks`."""

    block: int
    depth_first: bool = True

    def output_shape(self, *inputs: Shape) -> Shape:
        (x,) = self._take(1, inputs)
        if self.block < 1 or x.channels % self.block**2:
            raise ValueError(f"blocks of {self.block} do not divide the channels of {x}")
        height, width = x.height * self.block, x.width * self.block
        return Shape(height, width, x.channels // self.block**2)


@dataclass(frozen=True)
class SpaceToDepth(Blocks):
    """The pixels of ``block`` x ``block`` blocks to channels: see :class:`Blocks`."""

    block: int
    depth_first: bool = True

    def output_shape(self, *inputs: Shape) -> Shape:
        (x,) = self._take(1, inputs)
        if self.block < 1 or x.height % self.block or x.width % self.block:
            raise ValueError(f"blocks of {self.block} do not divide {x}")
        height, width = x.height // self.block, x.width // self.block
        return Shape(height, width, x.channels * self.block**2)


@dataclass(frozen=True)
class Channels(Layer):
    """`count` channels, from number `first` on: a part of a split, of which nothing is copied."""

    first: int
    count: int

    def output_shape(self, *inputs: Shape) -> Shape:
        (x,) = self._take(1, inputs)
        if self.first < 0 or self.count < 1 or self.first + self.count > x.channels:
            raise ValueError(f"{self} reaches beyond its input {x}")
        return x._replace(channels=self.count)


@dataclass(frozen=True)
class Softmax(Layer):
    """Softmax over the channels of each pixel."""


@dataclass(frozen=True)
class LogSoftmax(Layer):
    """Logarithm of the softmax over the channels of each pixel."""


@dataclass(frozen=True)
class MaxPool2d(Layer):
    """Maximum over windows; what lies outside the input does not take part.

    Stride defaults to the kernel. `ceil_mode` also counts a last, partial window.
    """

    kernel: IntOrPair
    stride: IntOrPair | None = None
    padding: Padding = 0
    ceil_mode: bool = False

    def __post_init__(self) -> None:
        for axis in self.axes:
            # Every window then holds at least one pixel.
            if max(axis.pad_front, axis.pad_back) >= axis.kernel:
                raise ValueError(f"the padding of {self} must be smaller than its kernel")

    @cached_property
    def axes(self) -> tuple[WindowAxis, WindowAxis]:
        stride = self.kernel if self.stride is None else self.stride
        return window(self.kernel, stride, self.padding)

    def output_shape(self, *inputs: Shape) -> Shape:
        (x,) = self._take(1, inputs)
        height = self.axes[0].pool_size(x.height, self.ceil_mode)
        width = self.axes[1].pool_size(x.width, self.ceil_mode)
        if height < 1 or width < 1:
            raise ValueError(f"the window of {self} does not fit into its input {x}")
        return Shape(height, width, x.channels)


@dataclass(frozen=True)
class GlobalAvgPool2d(Layer):
    """Mean over all pixels of each channel."""

    def output_shape(self, *inputs: Shape) -> Shape:
        (x,) = self._take(1, inputs)
        return Shape(1, 1, x.channels)


@dataclass(frozen=True)
class ArgMax(Layer):
    """Index of each pixel's largest channel, as a float32; the lowest where several are largest.

    The first NaN counts as the largest, as in NumPy.
    """

    def output_shape(self, *inputs: Shape) -> Shape:
        (x,) = self._take(1, inputs)
        return Shape(x.height, x.width, 1)


@dataclass(frozen=True)
class Concat(Layer):
    """Two or more maps of one size, channels one after another."""

    def output_shape(self, *inputs: Shape) -> Shape:
        if not inputs:
            raise ValueError("Concat takes at least 1 input, not 0")
        if any(x[:2] != inputs[0][:2] for x in inputs):
            sizes = ", ".join(map(str, inputs))
            raise ValueError(f"Concat expects maps of one height and width, not {sizes}")
        return Shape(inputs[0].height, inputs[0].width, sum(x.channels for x in inputs))


class Combination(Layer):
    """Two maps, number by number.

    Of one shape; or one of them has a single pixel, which meets every pixel of the other, or a
    single channel, which meets every channel.
    """

    kind: ClassVar[str]  # as an Epilogue calls it

    def output_shape(self, *inputs: Shape) -> Shape:
        a, b = self._take(2, inputs)
        for one, other in ((a, b), (b, a)):
            same_pixels = other[:2] in (one[:2], (1, 1))
            if same_pixels and other.channels in (one.channels, 1):
                return one
        name = type(self).__name__
        raise ValueError(
            f"{name} expects two maps of one shape, or one of one pixel or channel, not {a} and {b}"
        )


@dataclass(frozen=True)
class Add(Combination):
    """Sum of two maps; either may have one pixel, or one channel, for all of the other."""

    kind = "add"


@dataclass(frozen=True)
class Sub(Combination):
    """The first map minus the second; either may have one pixel or one channel."""


@dataclass(frozen=True)
class Mul(Combination):
    """Product of two maps; either may have one pixel or one channel (squeeze-and-excite, gates)."""

    kind = "multiply"


@dataclass(frozen=True)
class Div(Combination):
    """The first map times the reciprocal of the second; either may have one pixel or channel."""


@dataclass(frozen=True)
class Maximum(Combination):
    """The larger of two maps' numbers, NaN where one is; either may have one pixel or channel."""

    kind = "maximum"


@dataclass(frozen=True)
class Minimum(Combination):
    """The smaller of two maps' numbers, NaN where one is; either may have one pixel or channel."""

    kind = "minimum"


@dataclass(frozen=True)
class Affine(Layer):
    """``scale * x + shift`` with fixed numbers, such as the normalisation of an input."""

    scale: float = 1.0
    shift: float = 0.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.scale) and math.isfinite(self.shift)):
            raise ValueError(f"scale and shift must be finite, not {self}")


@dataclass(frozen=True)
class Reshape(Layer):
    """The same floats in the same order, read as another (height, width, channels)."""

    shape: Shape

    def output_shape(self, *inputs: Shape) -> Shape:
        (x,) = self._take(1, inputs)
        if min(self.shape) < 1 or x.floats != self.shape.floats:
            raise ValueError(f"cannot reshape {x} into {self.shape}")
        return self.shape
