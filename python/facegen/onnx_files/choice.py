"""Any channels of a map, in any order, as copies: nothing of those that are left out is read.

A product with a matrix of zeros and ones would make NaN of whatever meets an infinity there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from facegen.nn import Channels, ChannelShuffle, Layer
from facegen.onnx_files.value import Order

MOST_RUNS = 1024  # each is a copy of its own
_SHORTEST = 4  # channels of a run with a step: a shuffle for fewer is more than a copy for each


@dataclass(frozen=True)
class Run:
    """`count` channels from `first` on, each `step` behind the one before it."""

    first: int
    step: int
    count: int


def layers_of_choice(chosen: Order, total: int) -> list[list[Layer]]:
    """Of `total` channels those of numbers `chosen`: the layers, one on another, of each run.

    What they make, one behind the other, is what was chosen.

    Raises
    ------
    ValueError
        Too many runs.
    """
    if groups := _shuffled_groups(chosen, total):
        return [[ChannelShuffle(groups)]]
    found: list[list[Layer]] = []
    for run in _runs(chosen, total):
        if len(found) == MOST_RUNS:
            raise ValueError(
                f"it takes {len(chosen):,} of {total:,} channels in an order of more than "
                f"{MOST_RUNS:,} runs; export the network with its channels in another order"
            )
        found.append(_layers(run, total))
    return found


def _shuffled_groups(chosen: Order, total: int) -> int:
    """The groups whose shuffle this is; 0 where it is none."""
    if len(chosen) != total or total < 2:
        return 0
    step = int(chosen[1] - chosen[0])
    if step < 2 or total % step:
        return 0
    groups = total // step
    return groups if np.array_equal(chosen, np.arange(total).reshape(groups, step).T.ravel()) else 0


def _runs(chosen: Order, total: int) -> Iterator[Run]:
    """Neighbours, and what is evenly spaced; anything else one by one."""
    steps = np.diff(chosen)
    at = 0
    while at < len(chosen):
        step = int(steps[at]) if at < len(steps) else 1
        same = steps[at:] == step
        count = 1 + (len(same) if same.all() else int(np.argmin(same)))
        if step > 1:
            count = min(count, total // step)  # blocks of so many channels, one of each
        if step < 1 or (step > 1 and count < _SHORTEST):
            step, count = 1, 1
        yield Run(int(chosen[at]), step, count)
        at += count


def _layers(run: Run, total: int) -> list[Layer]:
    if run.step == 1:
        return _part(run.first, run.count, total)
    # Blocks of `step` channels with one of the run each: a shuffle brings these together.
    within = min(run.first, total - run.count * run.step)
    blocks = _part(within, run.count * run.step, total)
    place = (run.first - within) * run.count
    return [*blocks, ChannelShuffle(run.count), *_part(place, run.count, run.count * run.step)]


def _part(first: int, count: int, total: int) -> list[Layer]:
    return [] if count == total else [Channels(first, count)]
