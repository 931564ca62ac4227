"""What latent vectors are drawn from: coordinates that are independent, all distributed alike."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from facegen.errors import FormatError

_EDGE = 1e-6  # how near -1 and 1 a uniform coordinate may be: their normal values are infinite


@dataclass(frozen=True)
class Prior:
    """A distribution of each coordinate.

    Attributes
    ----------
    name
        As people call it.
    draw
        So many coordinates (float64) of a random generator.
    to_normal
        Coordinates as such that are normally distributed (float64), by the distribution functions.
    from_normal
        The way back (float32).
    """

    name: str
    draw: Callable[[np.random.Generator, int], np.ndarray]
    to_normal: Callable[[np.ndarray], np.ndarray]
    from_normal: Callable[[np.ndarray], np.ndarray]

    def latents(self, seeds: Iterable[int], size: int) -> np.ndarray:
        """The latent vector of each seed: (n, size) float32.

        Every seed has a random generator (PCG64) of its own, so seed 17 is the same vector alone
        and in any batch.

        Raises
        ------
        FormatError
            A seed that is no integer, or below 0.
        """
        rows = [self.draw(np.random.Generator(np.random.PCG64(_checked(s))), size) for s in seeds]
        return np.array(rows, np.float32).reshape(len(rows), size)


def _checked(seed: int) -> int:
    try:
        number = operator.index(seed)
    except TypeError:
        raise FormatError(f"seeds: expected integers, found {seed!r}") from None
    if number < 0:
        raise FormatError(f"seeds: expected 0 or more, found {number}")
    return number


def _draw_uniform(generator: np.random.Generator, size: int) -> np.ndarray:
    return generator.uniform(-1.0, 1.0, size)


def _uniform_to_normal(latents: np.ndarray) -> np.ndarray:
    from statistics import NormalDist  # which has much to import

    return _each(NormalDist().inv_cdf, (np.clip(latents, _EDGE - 1, 1 - _EDGE) + 1.0) / 2)


def _normal_to_uniform(points: np.ndarray) -> np.ndarray:
    from statistics import NormalDist

    return (2 * _each(NormalDist().cdf, points) - 1).astype(np.float32)


def _draw_normal(generator: np.random.Generator, size: int) -> np.ndarray:
    return generator.standard_normal(size)


def _as_float64(values: np.ndarray) -> np.ndarray:
    return values.astype(np.float64)


def _as_float32(values: np.ndarray) -> np.ndarray:
    return values.astype(np.float32)


def _each(function: Callable[[float], float], values: np.ndarray) -> np.ndarray:
    return np.array([function(value) for value in values.flat]).reshape(values.shape)


UNIFORM = Prior("uniform in -1 to 1", _draw_uniform, _uniform_to_normal, _normal_to_uniform)
NORMAL = Prior("standard normal", _draw_normal, _as_float64, _as_float32)
