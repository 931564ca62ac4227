"""How parameters follow their gradients: plain data that becomes Update steps.

A rate is a number or a schedule of it. Formulas are PyTorch's, whose names the fields have.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import ClassVar

import numpy as np

Rate = float | Callable[[int], float]  # a schedule takes the number of the step, from 0

_MOST_RATE = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class Group:
    """Parameters with settings of their own; the first group whose pattern matches counts.

    Attributes
    ----------
    pattern
        Of parameters' names, as a shell's: ``"conv1.*"``, ``"*.bias"``.
    rate
        Factor of the optimizer's rate.
    weight_decay
        Instead of the optimizer's; None: the same.
    """

    pattern: str
    rate: float = 1.0
    weight_decay: float | None = None


@dataclass(frozen=True, kw_only=True)
class Optimizer:
    """What all optimizers have.

    Attributes
    ----------
    rate
        Learning rate, or a schedule of it.
    weight_decay
        Added to the gradient, times the parameter; AdamW shrinks the parameter instead.
    groups
        Parameters with settings of their own.
    clip_norm
        Longest gradient: that of all parameters together is scaled down to it.
    average
        Decay of a moving average of all parameters, near 1, or a schedule of it; None keeps none.
    """

    kind: ClassVar[str]
    moments: ClassVar[tuple[str, ...]] = ()

    rate: Rate
    weight_decay: float = 0.0
    groups: Sequence[Group] = ()
    clip_norm: float | None = None
    average: Rate | None = None

    def __post_init__(self) -> None:
        if not callable(self.rate):
            _check("rate", self.rate, self.rate >= 0, "0 or more")
        _check("weight_decay", self.weight_decay, self.weight_decay >= 0, "0 or more")
        if self.clip_norm is not None:
            _check("clip_norm", self.clip_norm, self.clip_norm > 0, "more than 0")
        if self.average is not None and not callable(self.average):
            _check_decay("average", self.average)

    def rates(self, step: int) -> list[float]:
        """Of each group, of the parameters in none, and the average's decay, at a step.

        Raises
        ------
        ValueError
            A schedule gives, or a group makes of it, something else than a finite number from 0 on,
            or of a decay from 0 to below 1: no weight would outlive it.
        """
        rate = _at("rate", self.rate, step)
        rates = [*(rate * group.rate for group in self.groups), rate]
        for each in rates:
            if not 0 <= each <= _MOST_RATE:  # NaN is neither
                raise ValueError(
                    f"a rate of step {step} must be a number of float32, and 0 or more, not {each}"
                )
        if self.average is not None:
            decay = _at("average", self.average, step)
            _check_decay(f"the average of step {step}", decay)
            rates.append(decay)
        return rates

    @property
    def decay_group(self) -> int:
        """Which of `rates` is the average's decay, where there is an average."""
        return len(self.groups) + 1

    def group_of(self, parameter: str) -> tuple[int, float]:
        """Which of `rates` is a parameter's, and its weight decay."""
        for i, group in enumerate(self.groups):
            if fnmatchcase(parameter, group.pattern):
                decay = self.weight_decay if group.weight_decay is None else group.weight_decay
                return i, decay
        return len(self.groups), self.weight_decay


@dataclass(frozen=True, kw_only=True)
class SGD(Optimizer):
    """Gradient descent: ``v = momentum v + g``, then ``p -= rate v``.

    With `nesterov`, ``p -= rate (g + momentum v)``. The first step's v is g.
    """

    kind = "sgd"
    moments = ("momentum",)

    momentum: float = 0.0
    nesterov: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        _check("momentum", self.momentum, 0 <= self.momentum < 1, "from 0 to below 1")
        if self.nesterov and not self.momentum:
            raise ValueError("nesterov takes a momentum of more than 0")


@dataclass(frozen=True, kw_only=True)
class Adam(Optimizer):
    """Adam (Kingma & Ba 2015), both moments corrected for their start at zero."""

    kind = "adam"
    moments = ("first", "second")

    rate: Rate = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8

    def __post_init__(self) -> None:
        super().__post_init__()
        for beta in self.betas:
            _check("betas", beta, 0 <= beta < 1, "from 0 to below 1")
        _check("eps", self.eps, self.eps >= 0, "0 or more")


@dataclass(frozen=True, kw_only=True)
class AdamW(Adam):
    """Adam whose weight decay is apart from the gradient (Loshchilov & Hutter 2019)."""

    kind = "adamw"
    weight_decay: float = 0.01
    groups: Sequence[Group] = field(default=())


def _at(name: str, rate: Rate, step: int) -> float:
    """What a rate is at a step."""
    found = rate(step) if callable(rate) else rate
    if not isinstance(found, int | float | np.number):
        raise ValueError(f"the {name} of step {step} must be a number, not {found!r:.80}")
    return float(found)


def _check_decay(name: str, decay: float) -> None:
    _check(name, decay, 0 <= decay < 1, "from 0 to below 1")


def _check(name: str, value: float, fits: bool, expected: str) -> None:
    if not (fits and math.isfinite(value)):
        raise ValueError(f"{name} must be {expected}, not {value!r}")
