"""How fast a run is, and how long it takes."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter

_ENOUGH_SECONDS = 1.0  # of steps for an estimate
_DAY = 86400.0


class Pace:
    """The time of steps so far, and what it says of the others.

    Parameters
    ----------
    step, seconds
        Where the run goes on, and what it took up to there.
    images
        A step.
    """

    def __init__(
        self,
        step: int,
        steps: int,
        images: int,
        seconds: float = 0.0,
        clock: Callable[[], float] = perf_counter,
    ) -> None:
        self.steps, self.images = steps, images
        self._clock, self._before, self._first = clock, seconds, step
        self._start = self._mark = clock()
        self._mark_step = step
        self._estimated = False

    @property
    def seconds(self) -> float:
        """Of the whole run so far."""
        return self._before + self._clock() - self._start

    def left(self, step: int) -> float:
        """Seconds that the rest takes, as long as what has been computed since the start."""
        return (self._clock() - self._start) / max(1, step - self._first) * (self.steps - step)

    def entry(self, step: int) -> dict[str, float]:
        """For the log: the rate is that of the steps since the last one."""
        now = self._clock()
        rate = (step - self._mark_step) * self.images / max(now - self._mark, 1e-9)
        return {
            "seconds": round(self._before + now - self._start, 3),
            "images_per_second": float(f"{rate:.4g}"),
            "left": round(self.left(step), 1),
        }

    def restart(self, step: int) -> None:
        """What was done since the last step does not count for the rate."""
        self._mark, self._mark_step = self._clock(), step

    def estimate(self, step: int) -> float | None:
        """Seconds that all further steps take: once, as soon as they can be told, else None."""
        if self._estimated or self._clock() - self._start < _ENOUGH_SECONDS:
            return None
        self._estimated = True
        return self.left(step)


def is_long(seconds: float) -> bool:
    """A day or more."""
    return seconds >= _DAY


def duration(seconds: float) -> str:
    """Roughly, for people.

    >>> [duration(s) for s in (0.4, 59, 61, 3700, 86400, 600000)]
    ['1 s', '59 s', '1 min', '1.0 h', '24 h', '6.9 days']
    """
    if seconds < 60:
        return f"{max(1, round(seconds))} s"
    if seconds < 3600:
        return f"{seconds / 60:.0f} min"
    if seconds < 10 * 3600:
        return f"{seconds / 3600:.1f} h"
    if seconds < 2 * _DAY:
        return f"{seconds / 3600:.0f} h"
    return f"{seconds / _DAY:.1f} days"
