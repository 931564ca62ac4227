"""Numbers of few bits, emulated: float32 arrays that hold what another format can hold.

| format | rounded to |
|---|---|
| float16 | 11 bits, 2^-24 at least |
| bfloat16 | 8 bits, the range of float32 |
| fixed <IL, FL> | multiples of 2^-FL from -2^(IL-1) to 2^(IL-1) - 2^-FL, saturating |

To the nearest, ties to even; or stochastically: up with the probability of the share that is lost
otherwise, so that the mean is exact (Gupta et al. 2015, "Deep learning with limited numerical
precision"). The random bits are a function of a seed and a step.

Training rounds parameters to bfloat16 by kernels of its own (csrc/weight_rounding.h), to the same
neighbours by other random bits; there what is finite stays so.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
MOST_BITS = 24  # of fixed point: every such number is a float32


@dataclass(frozen=True)
class Rounding:
    """A format; called with finite float32, it gives them as the format holds them."""

    stochastic: bool = False

    def __call__(self, x: Array, seed: int = 0, step: int = 0) -> Array:
        values = x.astype(np.float64)
        spacing = self.spacing(values)
        if self.stochastic:
            random = np.random.Philox(key=[seed, 0], counter=[0, 0, step, 0]).random_raw(x.size)
            shares = ((random >> np.uint64(11)) * 2.0**-53).reshape(x.shape)
            low = np.floor(values / spacing)
            steps = low + (shares < values / spacing - low)
        else:
            steps = np.rint(values / spacing)
        return self.within(steps * spacing).astype(np.float32)

    def spacing(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """The distance of the neighbours of each number: powers of two."""
        raise NotImplementedError

    def within(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """What is beyond the range as the format has it."""
        return x


@dataclass(frozen=True)
class BFloat16(Rounding):
    """The upper half of a float32."""

    def spacing(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.ldexp(1.0, np.maximum(np.frexp(x)[1] - 1, -126) - 7)


@dataclass(frozen=True)
class Float16(Rounding):
    """IEEE 754's binary16."""

    def spacing(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.ldexp(1.0, np.maximum(np.frexp(x)[1] - 1, -14) - 10)

    def within(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.where(np.abs(x) >= 65536, np.copysign(np.inf, x), x)


@dataclass(frozen=True)
class FixedPoint(Rounding):
    """So many bits before the point, the sign with them, and behind it."""

    whole: int = 8
    fraction: int = 8

    def __post_init__(self) -> None:
        if self.whole < 1 or self.fraction < 0 or self.whole + self.fraction > MOST_BITS:
            raise ValueError(
                f"fixed point takes at least 1 bit before the point and {MOST_BITS} in all, not "
                f"{self.whole} and {self.fraction}"
            )

    def spacing(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.full_like(x, 2.0**-self.fraction)

    def within(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        most = 2.0 ** (self.whole - 1)
        return np.clip(x, -most, most - 2.0**-self.fraction)
