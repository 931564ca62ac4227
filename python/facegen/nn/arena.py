"""One block of memory for all intermediate values: who lives where, and when."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, TypeVar

K = TypeVar("K")  # what a buffer is called

ALIGNMENT = 16  # floats: one cache line, one AVX-512 register


class Lifetime(NamedTuple):
    """Steps `first` to `last`, both included, write or read a buffer of `floats`."""

    floats: int
    first: int
    last: int

    def overlaps(self, other: Lifetime) -> bool:
        return self.first <= other.last and other.first <= self.last


def plan_arena(lifetimes: Mapping[K, Lifetime]) -> tuple[dict[K, int], int]:
    """Offset of every buffer and the size of the arena, in floats.

    Best fit, largest buffer first: each goes into the smallest sufficient gap between those
    already placed that live at the same time, or behind them.
    """
    offsets: dict[K, int] = {}
    arena_floats = 0
    for name, lifetime in sorted(lifetimes.items(), key=lambda item: -item[1].floats):
        size = _aligned(lifetime.floats)
        occupied = sorted(
            (offset, offset + _aligned(lifetimes[other].floats))
            for other, offset in offsets.items()
            if lifetime.overlaps(lifetimes[other])
        )
        best: tuple[int, int] | None = None  # (gap, offset)
        end = 0
        for start, stop in occupied:
            gap = start - end
            if gap >= size and (best is None or gap < best[0]):
                best = gap, end
            end = max(end, stop)
        offsets[name] = end if best is None else best[1]
        arena_floats = max(arena_floats, offsets[name] + size)
    return offsets, arena_floats


def _aligned(floats: int) -> int:
    return -(-floats // ALIGNMENT) * ALIGNMENT
