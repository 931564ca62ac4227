"""A lowered network: a flat list of fused steps over planned buffers, as plain data.

This is all that a device engine sees; ``csrc/program.h`` mirrors it field by field. Every tensor
is float32 in NHWC order. Sizes and offsets count floats of ONE image: a buffer that holds a batch
holds its images one after another.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class View:
    """A (height, width, channels) window of a buffer.

    Pixel (y, x) starts at ``offset + (y * width + x) * pixel_stride``; the stride is larger than
    ``channels`` where several tensors are concatenated in one buffer.
    """

    buffer: int
    height: int
    width: int
    channels: int
    pixel_stride: int
    offset: int = 0


@dataclass(frozen=True)
class Axis:
    """One axis of an indirect GEMM.

    Output ``o`` (0 <= o < out) reads, for each tap ``t`` (0 <= t < taps), input position
    ``o * step + t * dir + base`` (outside the input: zero) with weight tap
    ``first_tap + t * tap_step``, and lands at output position ``out_origin + o * out_step``.
    """

    out: int
    step: int
    dir: int
    base: int
    taps: int
    first_tap: int
    tap_step: int
    out_origin: int
    out_step: int

    def valid_taps(self, size: int) -> int:
        """Pairs (output, tap) that read inside an input of `size`: the others need no arithmetic."""
        outputs = np.arange(self.out)[:, None] * self.step
        positions = outputs + np.arange(self.taps) * self.dir + self.base
        return int(np.count_nonzero((positions >= 0) & (positions < size)))


@dataclass(frozen=True)
class Phase:
    """A convolution has one; a transposed convolution of stride s has up to s * s."""

    y: Axis
    x: Axis


@dataclass(frozen=True)
class Epilogue:
    """``y = scale[c] * activation(sum + bias[c] + add) + shift[c]``; what is None is skipped."""

    activation: str = "none"  # "none", "relu", "leaky_relu", "tanh"
    slope: float = 0.0  # of leaky ReLU
    scale: str | None = None  # name of a constant, (channels,)
    shift: str | None = None
    add: View | None = None


@dataclass(frozen=True)
class Gemm:
    """conv2d, conv_transpose2d or linear: rows found by phases and axes, times packed weights."""

    name: str
    input: View
    output: View
    phases: tuple[Phase, ...]
    kernel: tuple[int, int]
    weight: str  # constant (output.channels, *kernel, input.channels)
    bias: str | None  # constant (output.channels,)
    epilogue: Epilogue = Epilogue()
    direct_only: bool = False


@dataclass(frozen=True)
class MaxPool:
    """Maximum over windows; positions outside the input do not take part."""

    name: str
    input: View
    output: View
    kernel: tuple[int, int]
    stride: tuple[int, int]
    pad_top: int
    pad_left: int
    epilogue: Epilogue = Epilogue()


@dataclass(frozen=True)
class InstanceNorm:
    """``epilogue(gamma * (x - mean) / sqrt(var + eps) + beta)``, statistics of each image."""

    name: str
    input: View
    output: View
    gamma: str
    beta: str
    eps: float
    epilogue: Epilogue = Epilogue()


@dataclass(frozen=True)
class Softmax:
    """Over the channels of each pixel."""

    name: str
    input: View
    output: View


@dataclass(frozen=True)
class Upsample:
    """Bilinear, half-pixel centres, edges clamped, to the output's size."""

    name: str
    input: View
    output: View
    epilogue: Epilogue = Epilogue()


@dataclass(frozen=True)
class Pointwise:
    """The epilogue applied to the input itself (affine, activation, add, copy into a concat)."""

    name: str
    input: View
    output: View
    epilogue: Epilogue = Epilogue()


Step = Gemm | MaxPool | InstanceNorm | Softmax | Upsample | Pointwise


@dataclass(frozen=True)
class Buffer:
    """Where a tensor lives: the caller's input or output number `index`, or the arena."""

    kind: str  # "input", "output", "arena"
    index: int
    floats: int  # of one image
    arena_offset: int = 0  # floats of one image from the arena's start


@dataclass(frozen=True)
class Program:
    """Steps in order, and where every tensor lives. ``print(program)`` is a table."""

    name: str
    steps: tuple[Step, ...]
    buffers: tuple[Buffer, ...]
    inputs: tuple[View, ...]
    outputs: tuple[View, ...]
    arena_floats: int
    constants: Mapping[str, np.ndarray] = field(default_factory=dict, repr=False)
