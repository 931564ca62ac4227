"""The steps of training, as plain data: a class an operation.

``csrc/training_program.h`` has one struct for all of them; ``csrc/bindings/read_training.cpp`` says
which field goes where, and checks it.

Operands are names: of values (tensors of every image of the batch), of parameters and of what is
kept with them. The gradient of the loss in a parameter has the parameter's name. Where a step says
``accumulate``, it adds to what its output holds.
"""

from __future__ import annotations

from dataclasses import dataclass

from facegen.nn.gemm_layers import Part
from facegen.nn.grad import losses
from facegen.nn.program import AxisTaps, Phase

# Activations whose derivative is told from their output, which is all that is kept of them.
FROM_OUTPUT = (
    *("none", "relu", "leaky_relu", "tanh", "sigmoid", "clip", "elu", "hard_sigmoid", "softplus"),
    *("exp", "sqrt", "reciprocal"),
)
# Those whose derivative is told from what they read.
FROM_INPUT = ("hard_swish", "silu", "gelu", "gelu_tanh", "mish", "log", "abs")


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
    """dy goes to the first of a window's pixels, row by row, that equals its maximum."""

    name: str
    x: str
    y: str
    dy: str
    dx: str
    kernel_size: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    accumulate: bool = False


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
class BatchNorm:
    """``y = activation(gamma * (x - mean) / sqrt(var + eps) + beta)``.

    Mean and biased variance are those of the batch, or the `stored` ones. ``statistics`` holds, by
    channels, the mean, ``1 / sqrt(var + eps)`` and the variance.
    """

    name: str
    x: str
    y: str
    gamma: str
    beta: str
    mean: str
    var: str
    statistics: str
    eps: float
    stored: bool = False
    activation: str = "none"
    numbers: tuple[float, float] = (0.0, 0.0)  # of the activation


@dataclass(frozen=True)
class BatchNormGradient:
    """Backward of BatchNorm; `dx` is None where nothing needs it.

    With g = dy * activation' and h = (x - mean) / sqrt(var + eps) over the N pixels of the batch:
    beta's gradient is sum g, gamma's sum g h, and
    ``dx = gamma / sqrt(var + eps) * (g - sum g / N - h * sum g h / N)``, without the sums where the
    statistics are stored ones.
    """

    name: str
    x: str
    y: str
    dy: str
    dx: str | None
    gamma: str
    beta: str
    statistics: str
    stored: bool = False
    trained: bool = True
    activation: str = "none"
    numbers: tuple[float, float] = (0.0, 0.0)  # of the activation
    accumulate: bool = False


@dataclass(frozen=True)
class InstanceNorm:
    """BatchNorm with the mean and variance of each image; `statistics` is a value (1, 1, 2 c).

    Of some channels together where there are fewer `groups` than channels.
    """

    name: str
    x: str
    y: str
    gamma: str
    beta: str
    statistics: str
    eps: float
    groups: int
    activation: str = "none"
    numbers: tuple[float, float] = (0.0, 0.0)  # of the activation


@dataclass(frozen=True)
class InstanceNormGradient:
    """Backward of InstanceNorm: BatchNormGradient's formula, N the pixels of an image.

    Of groups, with gamma g in place of g, and N the numbers of a group.
    """

    name: str
    x: str
    y: str
    dy: str
    dx: str | None
    gamma: str
    beta: str
    statistics: str
    groups: int
    trained: bool = True
    activation: str = "none"
    numbers: tuple[float, float] = (0.0, 0.0)  # of the activation
    accumulate: bool = False


@dataclass(frozen=True)
class LayerNorm:
    """``gamma * (x - mean) / sqrt(var + eps) + beta`` of each pixel over its channels.

    `statistics`: a value (h, w, 2), the mean and ``1 / sqrt(var + eps)`` of each pixel.
    """

    name: str
    x: str
    y: str
    gamma: str
    beta: str
    statistics: str
    eps: float


@dataclass(frozen=True)
class LayerNormGradient:
    """Backward of LayerNorm.

    With h = (x - mean) / sqrt(var + eps) and m the mean over channels, ``dx (+)= (gamma dy -
    m(gamma dy) - h m(gamma dy h)) / sqrt(var + eps)``.
    """

    name: str
    x: str
    dy: str
    dx: str | None
    gamma: str
    beta: str
    statistics: str
    trained: bool = True
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


@dataclass(frozen=True)
class Loss:
    """Each image's loss, and ``gradient (+)=`` that of its share of the batch in the prediction."""

    name: str
    loss: losses.Loss
    output: str  # of the graph; the prediction may be what its last layer reads
    prediction: str
    target: str | None
    gradient: str
    accumulate: bool = False


@dataclass(frozen=True)
class UpdateStatistics:
    """A BatchNorm's stored mean and variance move towards the batch's (unbiased, as PyTorch's)."""

    name: str
    x: str  # for its number of pixels
    mean: str
    var: str
    statistics: str
    momentum: float


@dataclass(frozen=True)
class Update:
    """An optimizer's change of one parameter, and of what is kept with it."""

    name: str
    parameter: str
    floats: int
    optimizer: str  # "sgd", "adam", "adamw"
    group: int  # whose rate of the call it takes
    moments: tuple[str, ...]
    weight_decay: float = 0.0
    momentum: float = 0.0
    nesterov: bool = False
    betas: tuple[float, float] = (0.0, 0.0)
    eps: float = 0.0
    average: str | None = None  # the parameter's moving average
    average_decay: float = 0.0


Forward = (
    Gemm
    | Depthwise
    | Activate
    | Prelu
    | Multiply
    | Softmax
    | Shuffle
    | Rearrange
    | MaxPool
    | GlobalAvgPool
    | BatchNorm
    | InstanceNorm
    | LayerNorm
    | Copy
    | Resample
    | Dropout
    | Loss
)
Backward = (
    Gemm
    | WeightGradient
    | DepthwiseGradient
    | DepthwiseWeightGradient
    | BiasGradient
    | ActivateGradient
    | PreluGradient
    | Multiply
    | MultiplySum
    | SoftmaxGradient
    | Shuffle
    | Rearrange
    | MaxPoolGradient
    | GlobalAvgPoolGradient
    | BatchNormGradient
    | InstanceNormGradient
    | LayerNormGradient
    | Copy
    | ResampleGradient
    | Dropout
)
Updating = UpdateStatistics | Update
TrainingStep = Forward | Backward | Updating

_READS = ("x", "y", "other", "dy", "prediction", "target")


def _written(step: TrainingStep) -> tuple[str, ...]:
    """The fields that name what a step writes: gradients, or else its output."""
    if isinstance(step, Loss):
        return ("gradient",)
    return ("dx",) if hasattr(step, "dx") else ("y",)


def reads(step: TrainingStep) -> tuple[str, ...]:
    """The values that a step reads."""
    if isinstance(step, UpdateStatistics | Update):
        return ()
    written = _written(step)
    names = [getattr(step, field, None) for field in _READS if field not in written]
    if isinstance(step, InstanceNormGradient | LayerNormGradient):
        names.append(step.statistics)
    if getattr(step, "accumulate", False):
        names += [getattr(step, field) for field in written]
    return tuple(name for name in names if name is not None)


def writes(step: TrainingStep) -> tuple[str, ...]:
    """The values that a step writes."""
    if isinstance(step, UpdateStatistics | Update):
        return ()
    names = [getattr(step, field, None) for field in _written(step)]
    if isinstance(step, InstanceNorm | LayerNorm):
        names.append(step.statistics)
    return tuple(name for name in names if name is not None)
