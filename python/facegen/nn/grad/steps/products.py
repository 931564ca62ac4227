"""Steps of training that are sums of products, and products of maps."""

from __future__ import annotations

from dataclasses import dataclass

from facegen.nn.gemm_layers import Part
from facegen.nn.program import Phase


@dataclass(frozen=True)
class Gemm:
    """``y = activation(product + bias)``: conv2d, conv_transpose2d, linear, or a gradient in x.

    `transposed`: the weight's first and last axis change places, as the gradient in x needs.
    `part`: x and y are the layer's inputs and outputs (transposed: outputs and inputs), of which
    these neighbouring groups' are read and written. Weights between two groups are none.
    """

    name: str
    x: str
    y: str
    phases: tuple[Phase, ...]
    kernel_size: tuple[int, int]
    weight: str  # (y's channels, *kernel_size, x's channels), or transposed
    bias: str | None = None
    transposed: bool = False
    activation: str = "none"
    numbers: tuple[float, float] = (0.0, 0.0)  # of the activation
    accumulate: bool = False
    direct_only: bool = False
    part: Part | None = None  # of a layer of several groups: whose channels


@dataclass(frozen=True)
class WeightGradient:
    """The gradient of a Gemm's weight: of its phases, x's taps times dy, over images and pixels."""

    name: str
    x: str
    dy: str
    phases: tuple[Phase, ...]
    kernel_size: tuple[int, int]
    weight: str
    part: Part | None = None  # of a layer of several groups: whose channels


@dataclass(frozen=True)
class Depthwise:
    """Convolution of each channel by itself; the weight is (channels, *kernel_size, 1)."""

    name: str
    x: str
    y: str
    kernel_size: tuple[int, int]
    stride: tuple[int, int]
    dilation: tuple[int, int]
    padding: tuple[int, int]  # top, left
    weight: str
    bias: str | None = None


@dataclass(frozen=True)
class DepthwiseGradient:
    """``dx (+)=`` the gradient of a Depthwise in its input."""

    name: str
    dy: str
    dx: str
    kernel_size: tuple[int, int]
    stride: tuple[int, int]
    dilation: tuple[int, int]
    padding: tuple[int, int]
    weight: str
    accumulate: bool = False


@dataclass(frozen=True)
class DepthwiseWeightGradient:
    """The gradient of a Depthwise's weight."""

    name: str
    x: str
    dy: str
    kernel_size: tuple[int, int]
    stride: tuple[int, int]
    dilation: tuple[int, int]
    padding: tuple[int, int]
    weight: str


@dataclass(frozen=True)
class BiasGradient:
    """The gradient of a bias: the sum of dy over images and pixels."""

    name: str
    dy: str
    bias: str


@dataclass(frozen=True)
class Multiply:
    """``y (+)= x * other``; `other` is of x's shape, or one pixel or one channel for all."""

    name: str
    x: str
    other: str
    y: str
    accumulate: bool = False


@dataclass(frozen=True)
class MultiplySum:
    """``dx (+)=`` sums of ``x * dy`` over the pixels, or channels, for which dx has one."""

    name: str
    x: str
    dy: str
    dx: str
    accumulate: bool = False
