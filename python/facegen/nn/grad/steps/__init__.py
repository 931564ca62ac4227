"""The steps of training, as plain data: a class an operation.

``csrc/training_program.h`` has one struct for all of them; ``csrc/bindings/read_training.cpp`` says
which field goes where, and checks it.

Operands are names: of values (tensors of every image of the batch), of parameters and of what is
kept with them. The gradient of the loss in a parameter has the parameter's name. Where a step says
``accumulate``, it adds to what its output holds.
"""

from __future__ import annotations

from facegen.nn.grad.steps.ends import (
    Loss,
    Update,
)
from facegen.nn.grad.steps.maps import (
    FROM_INPUT,
    FROM_OUTPUT,
    Activate,
    ActivateGradient,
    Copy,
    Dropout,
    GlobalAvgPool,
    GlobalAvgPoolGradient,
    MaxPool,
    MaxPoolGradient,
    Prelu,
    PreluGradient,
    Rearrange,
    Resample,
    ResampleGradient,
    Shuffle,
    Softmax,
    SoftmaxGradient,
)
from facegen.nn.grad.steps.norms import (
    BatchNorm,
    BatchNormGradient,
    InstanceNorm,
    InstanceNormGradient,
    LayerNorm,
    LayerNormGradient,
    UpdateStatistics,
)
from facegen.nn.grad.steps.products import (
    BiasGradient,
    Depthwise,
    DepthwiseGradient,
    DepthwiseWeightGradient,
    Gemm,
    Multiply,
    MultiplySum,
    WeightGradient,
)

__all__ = [
    "FROM_INPUT",
    "FROM_OUTPUT",
    "Activate",
    "ActivateGradient",
    "Backward",
    "BatchNorm",
    "BatchNormGradient",
    "BiasGradient",
    "Copy",
    "Depthwise",
    "DepthwiseGradient",
    "DepthwiseWeightGradient",
    "Dropout",
    "Forward",
    "Gemm",
    "GlobalAvgPool",
    "GlobalAvgPoolGradient",
    "InstanceNorm",
    "InstanceNormGradient",
    "LayerNorm",
    "LayerNormGradient",
    "Loss",
    "MaxPool",
    "MaxPoolGradient",
    "Multiply",
    "MultiplySum",
    "Prelu",
    "PreluGradient",
    "Rearrange",
    "Resample",
    "ResampleGradient",
    "Shuffle",
    "Softmax",
    "SoftmaxGradient",
    "TrainingStep",
    "Update",
    "UpdateStatistics",
    "Updating",
    "WeightGradient",
    "reads",
    "writes",
]

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
