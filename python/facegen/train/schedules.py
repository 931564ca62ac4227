"""How the learning rate changes over a run: functions of the step's number, from 0.

>>> schedule = warm_up(cosine(0.1, 1000), 100)
>>> [round(schedule(step), 3) for step in (0, 50, 100, 550, 999)]
[0.001, 0.049, 0.098, 0.042, 0.0]
"""

from __future__ import annotations

import math
from collections.abc import Callable

from facegen.nn.grad.optimizers import Rate

Schedule = Callable[[int], float]


def steps(rate: float, every: int, factor: float = 0.1) -> Schedule:
    """`rate`, times `factor` after every so many steps."""
    _check_count("every", every)
    return lambda step: rate * factor ** (step // every)


def cosine(rate: float, count: int, last: float = 0.0) -> Schedule:
    """From `rate` to `last` along half a cosine, over `count` steps."""
    _check_count("count", count)
    return lambda step: last + (rate - last) * _half_cosine(step / count)


def warm_up(rate: Rate, count: int) -> Schedule:
    """In even steps up to a rate, or to what a schedule has after `count` steps, and on with it.

    Adam's first estimates are poor.
    """
    _check_count("count", count)
    after: Schedule = rate if callable(rate) else lambda step: rate  # type: ignore[assignment]
    return lambda step: after(count) * (step + 1) / (count + 1) if step < count else after(step)


def one_cycle(
    rate: float, count: int, rise: float = 0.3, start: float = 1 / 25, end: float = 1e-5
) -> Schedule:
    """Up to `rate` over a share of the steps, and down again (Smith & Topin 2019), along cosines.

    From ``start * rate`` and to ``start * end * rate``.
    """
    _check_count("count", count)
    if not 0 < rise < 1:
        raise ValueError(f"rise must be from 0 to 1, both excluded, not {rise!r}")
    top = rise * count

    def schedule(step: int) -> float:
        if step < top:
            return rate + (start - 1) * rate * _half_cosine(step / top)
        return rate * (start * end + (1 - start * end) * _half_cosine((step - top) / (count - top)))

    return schedule


def _half_cosine(progress: float) -> float:
    """1 at 0, 0 from 1 on."""
    return 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))


def _check_count(name: str, count: int) -> None:
    if count < 1:
        raise ValueError(f"{name} must be at least 1, not {count!r}")
