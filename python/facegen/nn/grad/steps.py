"""The steps of training, as plain data: a class an operation.

``csrc/training_program.h`` has one struct for all of them; ``csrc/bindings/read_training.cpp`` says
which field goes where, and checks it.

Operands are names: of values (tensors of every image of the batch), of parameters and of what is
kept with them. The gradient of the loss in a parameter has the parameter's name. Where a step says
``accumulate``, it adds to what its output holds.
"""

from __future__ import annotations

from dataclasses import dataclass

from facegen.nn.grad import losses
from facegen.nn.program import AxisTaps, Phase

# Activations whose derivative is a function of their output.
ACTIVATIONS = ("none", "relu", "leaky_relu", "tanh", "sigmoid")


@dataclass(frozen=True)
class Gemm:
    """``y = activation(product + bias)``: conv2d, conv_transpose2d, linear, or a gradient in x.

    `transposed`: the weight's first and last axis change places, as the gradient in x needs.
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
    alpha: float = 0.0
    accumulate: bool = False
    direct_only: bool = False


@dataclass(frozen=True)
class WeightGradient:
    """The gradient of a Gemm's weight: of its phases, x's taps times dy, over images and pixels."""

    name: str
    x: str
    dy: str
    phases: tuple[Phase, ...]
    kernel_size: tuple[int, int]
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
    alpha: float = 0.0


@dataclass(frozen=True)
class ActivateGradient:
    """``dx (+)= dy * activation'``, the derivative told from the output y; dx may be dy."""

    name: str
    y: str
    dy: str
    dx: str
    activation: str
    alpha: float = 0.0
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
    alpha: float = 0.0


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
    alpha: float = 0.0
    accumulate: bool = False


@dataclass(frozen=True)
class InstanceNorm:
    """BatchNorm with the mean and variance of each image; `statistics` is a value (1, 1, 2 c)."""

    name: str
    x: str
    y: str
    gamma: str
    beta: str
    statistics: str
    eps: float
    activation: str = "none"
    alpha: float = 0.0


@dataclass(frozen=True)
class InstanceNormGradient:
    """Backward of InstanceNorm: BatchNormGradient's formula, N the pixels of an image."""

    name: str
    x: str
    y: str
    dy: str
    dx: str | None
    gamma: str
    beta: str
    statistics: str
    trained: bool = True
    activation: str = "none"
    alpha: float = 0.0
    accumulate: bool = False


@dataclass(frozen=True)
class Copy:
    """``y (+)= scale * x + shift`` for `channels` channels, from `first_x` on to `first_y` on.

    It is Affine, each summand of an Add, each part of a Concat, and the gradient of all three.
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
    | Activate
    | MaxPool
    | GlobalAvgPool
    | BatchNorm
    | InstanceNorm
    | Copy
    | Resample
    | Dropout
    | Loss
)
Backward = (
    Gemm
    | WeightGradient
    | BiasGradient
    | ActivateGradient
    | MaxPoolGradient
    | GlobalAvgPoolGradient
    | BatchNormGradient
    | InstanceNormGradient
    | Copy
    | ResampleGradient
    | Dropout
)
Updating = UpdateStatistics | Update
TrainingStep = Forward | Backward | Updating

_READS = ("x", "y", "dy", "prediction", "target")
_WRITES = {
    **dict.fromkeys(
        (Gemm, Activate, MaxPool, GlobalAvgPool, BatchNorm, InstanceNorm, Copy, Resample, Dropout),
        ("y",),
    ),
    Loss: ("gradient",),
}


def reads(step: TrainingStep) -> tuple[str, ...]:
    """The values that a step reads."""
    if isinstance(step, UpdateStatistics | Update):
        return ()
    written = _WRITES.get(type(step), ("dx",))
    names = [getattr(step, field, None) for field in _READS if field not in written]
    if isinstance(step, InstanceNormGradient):
        names.append(step.statistics)
    if getattr(step, "accumulate", False):
        names += [getattr(step, field) for field in written]
    return tuple(name for name in names if name is not None)


def writes(step: TrainingStep) -> tuple[str, ...]:
    """The values that a step writes."""
    if isinstance(step, UpdateStatistics | Update):
        return ()
    names = [getattr(step, field, None) for field in _WRITES.get(type(step), ("dx",))]
    if isinstance(step, InstanceNorm):
        names.append(step.statistics)
    return tuple(name for name in names if name is not None)
