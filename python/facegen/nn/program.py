"""A lowered network: a flat list of fused steps over planned buffers, as plain data.

This is all that a device engine sees; ``csrc/program.h`` mirrors it field by field. Every tensor
is in NHWC order; inputs and outputs are float32. Sizes and offsets count floats of ONE image: a
buffer that holds a batch holds its images one after another.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

# By which a Gemm is computed, as facegen.kernels.algorithms describes them; the first may be any.
ALGORITHM_NAMES = ("auto", "direct", "naive", "im2col", "winograd", "fft", "strassen")
# Those that multiply as the definition does, zeros between and around the pixels apart.
DEFINED_ALGORITHMS = ("direct", "naive", "im2col")

NOWHERE = -1  # the buffer of a map that its kernel does not store


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

    def __str__(self) -> str:
        return f"{self.height}x{self.width}x{self.channels}"

    @property
    def floats(self) -> int:
        """Floats that the view holds, without the gaps between its pixels."""
        return self.height * self.width * self.channels


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
        """Pairs (output, tap) that read inside `size` inputs; the others need no arithmetic."""
        outputs = np.arange(self.out)[:, None] * self.step
        positions = outputs + np.arange(self.taps) * self.dir + self.base
        return int(np.count_nonzero((positions >= 0) & (positions < size)))


@dataclass(frozen=True)
class Phase:
    """Outputs found alike: a convolution has one phase, a transposed one up to stride^2."""

    y: Axis
    x: Axis


@dataclass(frozen=True)
class Epilogue:
    """``y = scale[c] * activation(sum + bias[c]) + shift[c]``; what is None is skipped.

    The `other` operand is combined with the sum or, `after_activation`, with the activation.
    """

    activation: str = "none"  # "none", or the kind of an Activation
    alpha: float = 0.0  # the activation's numbers
    beta: float = 0.0
    slopes: str | None = None  # name of a constant, (channels,): of "prelu"
    scale: str | None = None
    shift: str | None = None
    # As the map; or of one pixel, or of one channel, for all of it. A Gemm's is as its map.
    other: View | None = None
    combine: str = "add"  # "multiply", "maximum", "minimum"
    after_activation: bool = False


@dataclass(frozen=True)
class Copy:
    """A second place for a step's output, or for max(output, 0)."""

    view: View
    relu: bool = False


@dataclass(frozen=True)
class Gemm:
    """conv2d, conv_transpose2d or linear: rows found by phases and axes, times packed weights.

    The fields from `finish` on say what its kernel does besides; ``fit`` sets them where a device
    has such a kernel.
    """

    name: str
    input: View
    output: View
    phases: tuple[Phase, ...]
    kernel_size: tuple[int, int]
    weight: str  # constant (map.channels, *kernel_size, input.channels)
    bias: str | None  # constant (map.channels,)
    epilogue: Epilogue = Epilogue()
    algorithm: str = "auto"  # or another one of ALGORITHM_NAMES
    binary: bool = False  # weights and input are +1 and -1 alone
    # The step that takes the map that this one makes; `output` is that step's, the map is nowhere.
    finish: MaxPool | Softmax | Gemm | None = None
    softmax_input: bool = False  # multiplies the softmax of its input over the channels
    centre_channels: int = 0  # the first so many have weights at the centre tap alone
    copy: Copy | None = None
    slices: bool = False  # may leave its sums in slices, which the norm right behind it adds up

    @property
    def map(self) -> View:
        """What the phases make."""
        return self.output if self.finish is None else self.finish.input

    @property
    def flops(self) -> int:
        """Operations of one image: 2 a multiply-add that reads inside the input."""
        height, width, channels = self.input.height, self.input.width, self.input.channels
        pairs = sum(p.y.valid_taps(height) * p.x.valid_taps(width) for p in self.phases)
        own = 2 * pairs * channels * self.map.channels
        return own + (self.finish.flops if isinstance(self.finish, Gemm) else 0)


@dataclass(frozen=True)
class Depthwise:
    """conv2d of each channel by itself."""

    name: str
    input: View
    output: View
    kernel_size: tuple[int, int]
    stride: tuple[int, int]
    dilation: tuple[int, int]
    pad_top: int
    pad_left: int
    weight: str  # constant (*kernel_size, channels)
    bias: str | None  # constant (channels,)
    epilogue: Epilogue = Epilogue()

    @property
    def flops(self) -> int:
        """Operations of one image: 2 a multiply-add, those outside the input counted too."""
        return 2 * self.kernel_size[0] * self.kernel_size[1] * self.output.floats


@dataclass(frozen=True)
class MaxPool:
    """Maximum over windows; positions outside the input do not take part."""

    name: str
    input: View
    output: View
    kernel_size: tuple[int, int]
    stride: tuple[int, int]
    pad_top: int
    pad_left: int
    epilogue: Epilogue = Epilogue()


@dataclass(frozen=True)
class InstanceNorm:
    """``epilogue(gamma * (x - mean) / sqrt(var + eps) + beta)``, statistics of each image.

    Over its pixels, and over the channels of each of the `groups`: as many as channels, usually.
    """

    name: str
    input: View
    output: View
    gamma: str
    beta: str
    eps: float
    groups: int
    epilogue: Epilogue = Epilogue()
    copy: Copy | None = None
    slices: bool = False  # its input may lie in slices that the GEMM before it has left


@dataclass(frozen=True)
class Softmax:
    """Softmax over the channels of each pixel, or its logarithm."""

    name: str
    input: View
    output: View
    log: bool = False


@dataclass(frozen=True)
class LayerNorm:
    """Instance norm's formula with statistics of each pixel over its channels."""

    name: str
    input: View
    output: View
    gamma: str
    beta: str
    eps: float
    epilogue: Epilogue = Epilogue()


@dataclass(frozen=True)
class Lrn:
    """``x / (k + alpha / size * sum of x^2) ^ beta``.

    The sum is over channels from (size - 1) // 2 before to size // 2 behind.
    """

    name: str
    input: View
    output: View
    size: int
    alpha: float
    beta: float
    k: float
    epilogue: Epilogue = Epilogue()


@dataclass(frozen=True)
class Shuffle:
    """Channel ``i * groups + g`` is channel ``g * (channels // groups) + i`` of the input."""

    name: str
    input: View
    output: View
    groups: int


@dataclass(frozen=True)
class AxisTaps:
    """What the outputs of one axis are made of.

    Output ``o`` is the sum over ``0 <= t < taps`` of ``weights[o * taps + t]`` times the input at
    ``positions[o * taps + t]``; position -1 is nothing.
    """

    taps: int
    positions: tuple[int, ...]
    weights: tuple[float, ...]


@dataclass(frozen=True)
class Resample:
    """Weighted sums of rows, and of columns: interpolation, means over windows, borders, slices."""

    name: str
    input: View
    output: View
    rows: AxisTaps
    columns: AxisTaps
    epilogue: Epilogue = Epilogue()


@dataclass(frozen=True)
class Pointwise:
    """The epilogue applied to the input itself (affine, activation, sum, copy into a concat)."""

    name: str
    input: View
    output: View
    epilogue: Epilogue = Epilogue()


@dataclass(frozen=True)
class Fill:
    """The epilogue applied to the same channels for every pixel; nothing is read."""

    name: str
    output: View
    value: str  # constant (output.channels,)
    epilogue: Epilogue = Epilogue()


@dataclass(frozen=True)
class ArgMax:
    """Index of each pixel's largest channel: the lowest, or the first NaN, as in NumPy."""

    name: str
    input: View
    output: View


@dataclass(frozen=True)
class GlobalAvgPool:
    """Mean over the pixels of each channel."""

    name: str
    input: View
    output: View


@dataclass(frozen=True)
class Rearrange:
    """Channels to the pixels of square blocks where the output is larger, else the reverse.

    Pixel (i, j) of a block has channel c as number ``(i * block + j) * channels + c`` of the one
    pixel (`depth_first`), or as ``c * block**2 + i * block + j``.
    """

    name: str
    input: View
    output: View
    block: int
    depth_first: bool


WithoutEpilogue = Softmax | ArgMax | GlobalAvgPool | Shuffle | Rearrange
Step = (
    Gemm
    | Depthwise
    | MaxPool
    | InstanceNorm
    | LayerNorm
    | Lrn
    | Resample
    | Pointwise
    | Fill
    | WithoutEpilogue
)


@dataclass(frozen=True)
class Buffer:
    """Where a tensor lives: the caller's input or output number `index`, or the arena."""

    kind: str  # "input", "output", "arena"
    index: int
    floats: int  # of one image
    arena_offset: int = 0  # floats of one image from the arena's start
    # A buffer of the arena is "float32", "split" (two bfloat16: the value, and what is left of it)
    # or "half"; inputs and outputs are "float32".
    format: str = "float32"


@dataclass(frozen=True)
class Program:
    """Steps in order, and where every tensor lives. ``print(program)`` is a table.

    As ``lower`` makes it without a device, it runs anywhere. Fitted to a device, it has the name of
    the kernel of every step, and runs there alone.
    """

    name: str
    steps: tuple[Step, ...]
    buffers: tuple[Buffer, ...]
    inputs: tuple[View, ...]
    outputs: tuple[View, ...]
    arena_floats: int
    constants: Mapping[str, np.ndarray] = field(default_factory=dict, repr=False)
    device: str = ""  # that it is fitted to
    kernels: tuple[str, ...] = ()  # by step
    constant_steps: int = 0  # the first so many make the same of every image: they run once

    @property
    def flops(self) -> int:
        """Operations of one image; see :attr:`Gemm.flops`."""
        return sum(step.flops for step in self.steps if isinstance(step, Gemm | Depthwise))

    def __str__(self) -> str:
        from facegen.nn.program_table import program_table  # which knows every kind of step

        return program_table(self)


def step_reads(step: Step) -> tuple[View, ...]:
    """The views that a step reads, but for what lies nowhere."""
    views = [] if isinstance(step, Fill) else [step.input]
    if not isinstance(step, WithoutEpilogue) and step.epilogue.other is not None:
        views.append(step.epilogue.other)
    return tuple(views)


def step_writes(step: Step) -> tuple[View, ...]:
    """The views that a step writes."""
    if isinstance(step, Gemm | InstanceNorm) and step.copy is not None:
        return step.output, step.copy.view
    return (step.output,)
