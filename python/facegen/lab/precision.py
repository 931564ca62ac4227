"""How far a dot product is off, by the format of its numbers and by how many there are.

Products are exact to float32; what differs is how factors are stored, and to what every running sum
is rounded. The reference is float64 of the factors as they were drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facegen.numbers.rounding import BFloat16, FixedPoint, Float16, Rounding

TRIALS = 32
MOST_LENGTH = 1 << 17
VALUES = ("positive", "normal")
Array = NDArray[np.float32]


@dataclass(frozen=True)
class Format:
    """How factors are stored, and what a running sum is rounded to; None: float32, as they are."""

    name: str
    store: Rounding | None
    add: Rounding | None


@dataclass(frozen=True)
class Errors:
    """Of one format, by length: relative, root mean square over the trials."""

    name: str
    by_length: dict[int, float]


def formats(whole: int, fraction: int) -> list[Format]:
    """All of them; fixed point has so many bits before and behind the point.

    Raises
    ------
    ValueError
        There is no fixed point of so many bits.
    """
    fixed = FixedPoint(whole=whole, fraction=fraction)
    point = f"fixed <{whole},{fraction}>"
    return [
        Format("float32", None, None),
        Format("float16", Float16(), Float16()),
        Format("bfloat16", BFloat16(), BFloat16()),
        Format("bfloat16, stochastic", BFloat16(), BFloat16(stochastic=True)),
        Format("bfloat16, float32 sums", BFloat16(), None),
        Format(point, fixed, fixed),
        Format(
            f"{point}, stochastic",
            fixed,
            FixedPoint(whole=whole, fraction=fraction, stochastic=True),
        ),
    ]


def draw(kind: str, length: int, seed: int = 0) -> tuple[Array, Array]:
    """Two factors, (trials, length): from 0 to 1, or normal; shorter ones are their beginnings."""

    def factor(number: int) -> Array:
        random = np.random.default_rng([seed, number])
        if kind == "positive":
            return random.random((length, TRIALS), np.float32).T
        return random.standard_normal((length, TRIALS), np.float32).T

    return factor(0), factor(1)


def errors(
    lengths: Sequence[int],
    kind: str,
    whole: int = 8,
    fraction: int = 8,
    seed: int = 0,
    advance: Callable[[int], None] = lambda count: None,
) -> list[Errors]:
    """Of sums one after the other of every format, then of float32 in pairs.

    Parameters
    ----------
    lengths
        Of the dot products, up to `MOST_LENGTH`: the first so many of the same numbers.
    kind
        Of `VALUES`: positive numbers' sums grow past what is added, those of normal ones wander.
    whole, fraction
        Bits of fixed point.
    advance
        Told of every format that is done.

    Returns
    -------
    list of Errors
        Relative to sqrt(K) times a product's root mean square where numbers are normal (the sum
        itself may be next to 0), to the sum where they are positive.
    """
    longest = max(lengths)
    a, b = draw(kind, longest, seed)
    exact = np.cumsum(a.astype(np.float64) * b, axis=1)
    scale = exact if kind == "positive" else np.sqrt(np.arange(1.0, longest + 1))
    found = []
    for each in formats(whole, fraction):
        factors = (a, b) if each.store is None else (each.store(a), each.store(b))
        columns = np.ascontiguousarray((factors[0] * factors[1]).T)
        sums, total = np.empty((TRIALS, len(lengths))), np.zeros(TRIALS, np.float32)
        for k in range(1, longest + 1):
            total = total + columns[k - 1]
            if each.add is not None:
                total = each.add(total, seed=seed, step=k)
            if k in lengths:
                sums[:, lengths.index(k)] = total
        found.append(_errors(each.name, lengths, sums, exact, scale))
        advance(1)
    products = np.ascontiguousarray(a * b)  # neighbours in memory are summed in pairs
    pairs = np.stack([np.add.reduce(products[:, :k], axis=1) for k in lengths], axis=1)
    return [*found, _errors("float32, in pairs", lengths, pairs, exact, scale)]


def _errors(
    name: str, lengths: Sequence[int], sums: np.ndarray, exact: np.ndarray, scale: np.ndarray
) -> Errors:
    by_length = {}
    for i, k in enumerate(lengths):
        wrong = (sums[:, i] - exact[:, k - 1]) / scale[..., k - 1]
        by_length[k] = float(np.sqrt(np.mean(wrong**2)))
    return Errors(name, by_length)
