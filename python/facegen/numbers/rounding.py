"""Number formats of few bits, emulated: float32 arrays that hold what the format can hold.

    FixedPoint(8, 8)(x)                                     to the nearest multiple of 2^-8
    FixedPoint(8, 8, stochastic=True)(x, seed=0, step=17)   up or down at random, right on average
    BFloat16()(x), Float16(stochastic=True)(x, seed=3)

Stochastic rounding (Gupta, Agrawal, Gopalakrishnan and Narayanan 2015, "Deep learning with limited
numerical precision") takes x, between two neighbours a distance eps apart, to

    floor(x)         with probability 1 - (x - floor(x)) / eps
    floor(x) + eps   with probability     (x - floor(x)) / eps

so that the mean of many roundings is x. The random bits of an element are a function of the seed,
the step, the stream (which array of a step) and the element's number, by the counter-based
generator Philox (Salmon et al. 2011): they repeat, and depend on no threads and no order.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from facegen.numbers.floats import as_float32

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

MOST_BITS = 24  # of a fixed-point number: every one is a float32


def uniform(count: int, seed: int, step: int = 0, stream: int = 0) -> Doubles:
    """`count` numbers from 0 to below 1, multiples of 2^-53: a function of all four.

    Parameters
    ----------
    count
        Element i is the same for any larger count.
    seed, step, stream
        From 0 to below 2^64; different ones give independent numbers.
    """
    key, counter = (np.array(n, np.uint64) for n in ([seed, stream], [0, 0, step, 0]))
    bits = np.random.Philox(key=key, counter=counter).random_raw(count)
    return (bits >> np.uint64(11)).astype(np.float64) * 2.0**-53


class Rounding(ABC):
    """A number format and how numbers come into it."""

    stochastic: bool

    def __call__(self, x: ArrayLike, seed: int = 0, step: int = 0, stream: int = 0) -> Floats:
        """Numbers as the format holds them.

        Parameters
        ----------
        x
            Real numbers; they are taken as float32. NaN stays NaN.
        seed, step, stream
            What the random bits are a function of, with each element's place in memory order; from
            0. Without stochastic rounding they are of no account.

        Returns
        -------
        float32, in the shape of `x`
            A new array.
        """
        values = as_float32(x)
        doubles = values.astype(np.float64)
        # What is not finite has no neighbours, and an exact 0 none that are needed.
        finite = np.where(np.isfinite(doubles), doubles, 0.0)
        spacing = self.spacing(finite)
        whole = np.floor(finite / spacing)  # exact: spacings are powers of two
        rest = finite / spacing - whole
        if self.stochastic:
            up = uniform(values.size, seed, step, stream).reshape(values.shape) < rest
        else:
            up = (rest > 0.5) | ((rest == 0.5) & (whole % 2 == 1))  # ties to even
        rounded = np.where(np.isfinite(doubles), (whole + up) * spacing, doubles)
        return as_float32(self.within(rounded))

    @abstractmethod
    def spacing(self, x: Doubles) -> Doubles:
        """The distance of the neighbours of each number: powers of two."""

    @abstractmethod
    def within(self, x: Doubles) -> Doubles:
        """Rounded numbers, those beyond the format's range as it has them."""


@dataclass(frozen=True)
class FixedPoint(Rounding):
    """``<IL, FL>``: multiples of 2^-FL from -2^(IL-1) to 2^(IL-1) - 2^-FL, saturating.

    Parameters
    ----------
    whole, fraction
        IL, with the sign's bit, at least 1, and FL, from 0; at most 24 in all.
    stochastic
        Or to the nearest, ties to even.

    Examples
    --------
    >>> FixedPoint(3, 2)([0.3, -0.3, 100, -100]).tolist()
    [0.25, -0.25, 3.75, -4.0]
    """

    whole: int
    fraction: int
    stochastic: bool = False

    def __post_init__(self) -> None:
        bits = self.whole + self.fraction
        if self.whole < 1 or self.fraction < 0 or bits > MOST_BITS:
            raise ValueError(
                f"fixed point takes at least 1 bit before the point and {MOST_BITS} in all, not "
                f"{self.whole} and {self.fraction}"
            )

    def spacing(self, x: Doubles) -> Doubles:
        return np.full_like(x, 2.0**-self.fraction)

    def within(self, x: Doubles) -> Doubles:
        most = 2.0 ** (self.whole - 1)
        return np.clip(x, -most, most - 2.0**-self.fraction)


class _Float(Rounding):
    """Binary floating point, with subnormal numbers; what is too large becomes infinite."""

    bits: int  # of the significand, with the hidden one
    least_exponent: int  # of a normal number
    most_exponent: int

    def spacing(self, x: Doubles) -> Doubles:
        _, exponents = np.frexp(x)  # x = m 2^e with 0.5 <= |m| < 1
        return np.ldexp(1.0, np.maximum(exponents - 1, self.least_exponent) - self.bits + 1)

    def within(self, x: Doubles) -> Doubles:
        return np.where(np.abs(x) >= 2.0 ** (self.most_exponent + 1), np.copysign(np.inf, x), x)


@dataclass(frozen=True)
class Float16(_Float):
    """IEEE 754's binary16: 11 significant bits, 2^-14 to 65504 (subnormal from 2^-24).

    To the nearest it is ``x.astype(np.float16)``.
    """

    stochastic: bool = False
    bits, least_exponent, most_exponent = 11, -14, 15


@dataclass(frozen=True)
class BFloat16(_Float):
    """bfloat16: the upper half of a float32, 8 significant bits."""

    stochastic: bool = False
    bits, least_exponent, most_exponent = 8, -126, 127
