"""What training does to maps without weights."""

from __future__ import annotations

from dataclasses import dataclass

from facegen.nn.program import AxisTaps

# Activations whose derivative is told from their output, which is all that is kept of them.
FROM_OUTPUT = (
    *("none", "relu", "leaky_relu", "tanh", "sigmoid", "clip", "elu", "hard_sigmoid", "softplus"),
    *("exp", "sqrt", "reciprocal"),
)

# Those whose derivative is told from what they read.
FROM_INPUT = ("hard_swish", "silu", "gelu", "gelu_tanh", "mish", "log", "abs", "sign")


@dataclass(frozen=True)
class Activate:
    """``y = activation(x)``."""

    name: str
    x: str
    y: str
    activation: str
    numbers: tuple[float, float] = (0.0, 0.0)  # of the activation


@dataclass(frozen=True)
class ActivateGradient:
    """``dx (+)= dy * activation'``; dx may be dy.

    `y` is what the derivative is told from: the activation's output, or its input (FROM_INPUT).
    """

    name: str
    y: str
    dy: str
    dx: str
    activation: str
    numbers: tuple[float, float] = (0.0, 0.0)  # of the activation
    accumulate: bool = False


@dataclass(frozen=True)
class Prelu:
    """``y = x`` where positive, ``slope[channel] * x`` elsewhere."""

    name: str
    x: str
    y: str
    slope: str


@dataclass(frozen=True)
class PreluGradient:
    """Backward of Prelu; `dx` is None where nothing needs it. Slopes: sum of dy x where x < 0."""

    name: str
    x: str
    dy: str
    dx: str | None
    slope: str
    trained: bool = True
    accumulate: bool = False


@dataclass(frozen=True)
class Softmax:
    """Softmax over the channels of each pixel, or its logarithm."""

    name: str
    x: str
    y: str
    log: bool = False


@dataclass(frozen=True)
class SoftmaxGradient:
    """``dx (+)= y (dy - sum dy y)``; of a logarithm ``dy - exp(y) sum dy``."""

    name: str
    y: str
    dy: str
    dx: str
    log: bool = False
    accumulate: bool = False


@dataclass(frozen=True)
class Shuffle:
    """Channel ``i * groups + g`` of y ``(+)=`` channel ``g * (c / groups) + i`` of x."""

    name: str
    x: str
    y: str
    groups: int
    accumulate: bool = False


@dataclass(frozen=True)
class Rearrange:
    """Channels to the pixels of blocks where y has more, else the reverse; see nn/program.py."""

    name: str
    x: str
    y: str
    block: int
    depth_first: bool
    accumulate: bool = False


@dataclass(frozen=True)
class MaxPool:
    """Maximum over windows; what lies outside x does not take part."""

    name: str
    x: str
    y: str
    kernel_size: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]  # top, left


@dataclass(frozen=True)
class MaxPoolGradient:
    """dy goes to the first of a window's pixels, row by row, that equals its maximum.

    With an activation (a ReLU, leaky or not), whose output x is: ``dx (+)=`` that, and all of dx
    then times the activation's derivative.
    """

    name: str
    x: str
    y: str
    dy: str
    dx: str
    kernel_size: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    accumulate: bool = False
    activation: str = "none"
    numbers: tuple[float, float] = (0.0, 0.0)  # of the activation


@dataclass(frozen=True)
class GlobalAvgPool:
    """Mean over the pixels of each channel."""

    name: str
    x: str
    y: str


@dataclass(frozen=True)
class GlobalAvgPoolGradient:
    """Every pixel of dx gets dy over the number of pixels."""

    name: str
    dy: str
    dx: str
    accumulate: bool = False


@dataclass(frozen=True)
class Copy:
    """``y (+)= scale * x + shift`` for `channels` channels, from `first_x` on to `first_y` on.

    It is Affine, each summand of an Add, each part of a Concat, and the gradient of all three.
    `zero_rest`: y's other channels become 0.
    """

    name: str
    x: str
    y: str
    channels: int
    first_x: int = 0
    first_y: int = 0
    scale: float = 1.0
    shift: float = 0.0
    accumulate: bool = False
    zero_rest: bool = False


@dataclass(frozen=True)
class Resample:
    """Weighted sums of rows, and of columns: interpolation, means over windows, borders, slices."""

    name: str
    x: str
    y: str
    rows: AxisTaps
    columns: AxisTaps


@dataclass(frozen=True)
class ResampleGradient:
    """Each pixel of dy goes back to those that it is made of, with their weights."""

    name: str
    dy: str
    dx: str
    rows: AxisTaps
    columns: AxisTaps
    accumulate: bool = False


@dataclass(frozen=True)
class Dropout:
    """``y (+)= x / (1 - share)``, or 0 for a `share` of the numbers; its gradient is itself.

    Which, is a function of the seed, the training step, `stream` and the number's place.
    """

    name: str
    x: str
    y: str
    share: float
    stream: int
    accumulate: bool = False
