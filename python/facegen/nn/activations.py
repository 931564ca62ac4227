"""Functions of one number, as layers: what an epilogue does besides (see nn/program.py)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from facegen.nn.layer import Layer, Shape


class Activation(Layer):
    """A function of each number by itself; of its channel too, where there are parameters."""

    kind: ClassVar[str]  # as an Epilogue calls it

    @property
    def numbers(self) -> tuple[float, float]:
        """The epilogue's alpha and beta."""
        return 0.0, 0.0


@dataclass(frozen=True)
class ReLU(Activation):
    """``max(x, 0)``."""

    kind = "relu"


@dataclass(frozen=True)
class LeakyReLU(Activation):
    """``x`` where positive, ``slope * x`` elsewhere."""

    slope: float
    kind = "leaky_relu"

    @property
    def numbers(self) -> tuple[float, float]:
        return self.slope, 0.0


@dataclass(frozen=True)
class PReLU(Activation):
    """``x`` where positive, ``slope[channel] * x`` elsewhere."""

    channels: int
    kind = "prelu"

    def output_shape(self, *inputs: Shape) -> Shape:
        return self._take_channels(self.channels, inputs)

    def parameters(self) -> dict[str, tuple[int, ...]]:
        return {"slope": (self.channels,)}


@dataclass(frozen=True)
class Clip(Activation):
    """``min(max(x, low), high)``; ReLU6 is ``Clip(0, 6)``."""

    low: float = -math.inf
    high: float = math.inf
    kind = "clip"

    def __post_init__(self) -> None:
        if not self.low <= self.high:  # NaN is neither
            raise ValueError(f"low of a Clip must be at most high, not {self.low} and {self.high}")

    @property
    def numbers(self) -> tuple[float, float]:
        return self.low, self.high


@dataclass(frozen=True)
class ELU(Activation):
    """``scale * x`` where positive, ``scale * alpha * (exp(x) - 1)`` elsewhere."""

    alpha: float = 1.0
    scale: float = 1.0
    kind = "elu"

    @property
    def numbers(self) -> tuple[float, float]:
        return self.alpha, self.scale


@dataclass(frozen=True)
class SELU(ELU):
    """The self-normalising :class:`ELU` (Klambauer et al. 2017)."""

    alpha: float = 1.6732632423543772
    scale: float = 1.0507009873554805


@dataclass(frozen=True)
class Sigmoid(Activation):
    """``1 / (1 + exp(-x))``."""

    kind = "sigmoid"


@dataclass(frozen=True)
class HardSigmoid(Activation):
    """``min(max(alpha * x + beta, 0), 1)``, with PyTorch's numbers."""

    alpha: float = 1 / 6
    beta: float = 0.5
    kind = "hard_sigmoid"

    @property
    def numbers(self) -> tuple[float, float]:
        return self.alpha, self.beta


@dataclass(frozen=True)
class HardSwish(HardSigmoid):
    """``x`` times its hard sigmoid (MobileNetV3)."""

    kind = "hard_swish"


@dataclass(frozen=True)
class SiLU(Activation):
    """``x / (1 + exp(-alpha * x))``: swish."""

    alpha: float = 1.0
    kind = "silu"

    @property
    def numbers(self) -> tuple[float, float]:
        return self.alpha, 0.0


@dataclass(frozen=True)
class Tanh(Activation):
    """Hyperbolic tangent."""

    kind = "tanh"


@dataclass(frozen=True)
class GELU(Activation):
    """``x`` times the normal distribution's function of it; `tanh`: its approximation by a tanh."""

    tanh: bool = False

    @property
    def kind(self) -> str:  # type: ignore[override]
        return "gelu_tanh" if self.tanh else "gelu"


@dataclass(frozen=True)
class Mish(Activation):
    """``x * tanh(log(1 + exp(x)))``."""

    kind = "mish"


@dataclass(frozen=True)
class Softplus(Activation):
    """``log(1 + exp(x))``."""

    kind = "softplus"


@dataclass(frozen=True)
class Exp(Activation):
    """``exp(x)``."""

    kind = "exp"


@dataclass(frozen=True)
class Log(Activation):
    """Natural logarithm: minus infinity of 0, NaN of what is negative."""

    kind = "log"


@dataclass(frozen=True)
class Abs(Activation):
    """Absolute value."""

    kind = "abs"


@dataclass(frozen=True)
class Sqrt(Activation):
    """Square root: NaN of what is negative."""

    kind = "sqrt"


@dataclass(frozen=True)
class Reciprocal(Activation):
    """``1 / x``."""

    kind = "reciprocal"


@dataclass(frozen=True)
class Sign(Activation):
    """-1 where negative, 1 elsewhere: what binary layers read (Courbariaux et al. 2016).

    In training its derivative is taken to be 1 where ``|x| <= 1``, else 0: the straight-through
    estimator.
    """

    kind = "sign"
