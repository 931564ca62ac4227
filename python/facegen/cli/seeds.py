"""Lists of seeds as people write them: 0-15, 0-3,9, 7."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import overload

import click

MAX_SEEDS = 1_000_000_000
_PART = re.compile(r"(\d{1,18})(?:-(\d{1,18}))?")


class SeedList(Sequence[int]):
    """Seeds in the order written, kept as ranges: a billion of them take no memory."""

    def __init__(self, ranges: Sequence[range]) -> None:
        self._ranges = [part for part in ranges if part]
        self._ends = list(accumulate(map(len, self._ranges)))

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    @overload
    def __getitem__(self, index: int) -> int: ...
    @overload
    def __getitem__(self, index: slice) -> SeedList: ...
    def __getitem__(self, index: int | slice) -> int | SeedList:
        places = range(len(self))[index]
        if isinstance(places, int):
            part = bisect_right(self._ends, places)
            return self._ranges[part][places - self._ends[part]]  # counted from the part's end
        if places.step != 1:
            raise ValueError("seeds are taken in their order")
        parts = []
        for i in range(bisect_right(self._ends, places.start), len(self._ranges)):
            first = self._ends[i] - len(self._ranges[i])
            if first >= places.stop:
                break
            parts.append(self._ranges[i][max(0, places.start - first) : places.stop - first])
        return SeedList(parts)

    def __str__(self) -> str:
        """The list as it could be written."""
        return ",".join(
            f"{part[0]}" if len(part) == 1 else f"{part[0]}-{part[-1]}" for part in self._ranges
        )


class Seeds(click.ParamType):
    """A click type: text to a `SeedList`, none twice, of up to `most` seeds."""

    name = "seeds"

    def __init__(self, most: int = MAX_SEEDS) -> None:
        self._most = most

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> SeedList:
        ranges: list[range] = []
        for part in str(value).split(","):
            match = _PART.fullmatch(part.strip())
            if match is None:
                self.fail(
                    f"{part.strip()!r} is no seed or range; write 7, 0-15 or 0-3,9", param, ctx
                )
            first = int(match[1])
            last = first if match[2] is None else int(match[2])
            if last < first:
                self.fail(f"{part.strip()!r} runs backwards", param, ctx)
            ranges.append(range(first, last + 1))
        if sum(map(len, ranges)) > self._most:
            self.fail(f"more than {self._most:,} seeds", param, ctx)
        in_order = sorted(ranges, key=lambda part: part.start)
        if any(before.stop > after.start for before, after in pairwise(in_order)):
            self.fail("a seed is there twice", param, ctx)
        return SeedList(ranges)
