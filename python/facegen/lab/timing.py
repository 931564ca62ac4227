"""How long things take, measured in turns.

Another program may slow the machine down for seconds. What is measured one after the other then
differs though it does not take longer; what is measured in turns meets the same weather.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

LEAST_SECONDS = 0.002  # of one sample: shorter runs are repeated within it
MOST_SAMPLES = 31
Clock = Callable[[], float]
# The time that has passed; or that the process was computed for, by all of its threads, which other
# programs on the machine do not make longer.
CLOCKS: dict[str, Clock] = {"wall": time.perf_counter, "processor": time.process_time}


def steady_clock(threads: int) -> Clock:
    """The processor's where one thread computes; Windows counts that in steps of 16 ms."""
    return CLOCKS["processor" if threads == 1 and os.name != "nt" else "wall"]


@dataclass(frozen=True)
class Times:
    """Seconds of one run, by sample."""

    samples: tuple[float, ...]

    @property
    def median(self) -> float:
        return float(np.median(self.samples))

    @property
    def spread(self) -> float | None:
        """Half of what the middle half of the samples spans, by the median; None of one sample."""
        if len(self.samples) < 2:
            return None
        low, high = np.percentile(self.samples, (25, 75))
        return float(high - low) / 2 / self.median

    @property
    def least(self) -> float:
        return min(self.samples)


def in_turns(
    runs: Mapping[str, Callable[[], object]],
    seconds: float,
    rounds: int = 3,
    clock: Clock = time.perf_counter,
) -> dict[str, Times]:
    """Times of each run.

    Parameters
    ----------
    runs
        What to run, by name; all are run once first, which is not counted unless it took so long
        that it is the only sample.
    seconds
        About how long all of it may take. There are at least `rounds` rounds, a sample of each in
        every one; and one sample alone of what takes more than its share of the time at once.
    clock
        Seconds that have passed.

    Returns
    -------
    dict
        The names in their order.
    """
    begin = clock()
    samples: dict[str, list[float]] = {}
    repeats: dict[str, int] = {}
    for name, run in runs.items():
        first = _sample(run, 1, clock)
        repeats[name] = min(1000, max(1, round(LEAST_SECONDS / max(first, 1e-9))))
        samples[name] = [first] if first > seconds / rounds else []
    turn = [name for name in runs if not samples[name]]
    for number in range(MOST_SAMPLES if turn else 0):
        if number >= rounds and clock() - begin > seconds:
            break
        for name in turn:
            samples[name].append(_sample(runs[name], repeats[name], clock))
        turn = turn[1:] + turn[:1]  # another one first
    return {name: Times(tuple(found)) for name, found in samples.items()}


def _sample(run: Callable[[], object], repeats: int, clock: Clock) -> float:
    begin = clock()
    for _ in range(repeats):
        run()
    return (clock() - begin) / repeats
