"""Where a forward pass ends, and what is done with the gradients."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from facegen.nn.grad import losses

RoundingMode = Literal["nearest", "stochastic"]  # to bfloat16


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
    decay_group: int = 0  # where its decay is among the call's rates
    rounding: RoundingMode | None = None  # of the parameter
    stream: int = 0  # of what is drawn for that
