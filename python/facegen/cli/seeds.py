"""Lists of seeds as people write them: 0-15, 0-3,9, 7."""

from __future__ import annotations

import re

import click

MAX_SEEDS = 1_000_000
_PART = re.compile(r"(\d{1,18})(?:-(\d{1,18}))?")


class Seeds(click.ParamType):
    """A click type: text to a list of seeds in the order written, none twice."""

    name = "seeds"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> list[int]:
        seeds: list[int] = []
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
            if len(seeds) + last - first >= MAX_SEEDS:
                self.fail(f"more than {MAX_SEEDS:,} seeds", param, ctx)
            seeds.extend(range(first, last + 1))
        if len(set(seeds)) != len(seeds):
            self.fail("a seed is there twice", param, ctx)
        return seeds
