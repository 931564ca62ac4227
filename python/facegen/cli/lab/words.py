"""Options and words of the experiments: sizes, lists of numbers, pictures; how tables are said."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import click

from facegen.cli import options, terminal
from facegen.nn.table import text_table

MOST_LISTED = 64  # numbers of one option


class Size(click.ParamType):
    """HEIGHTxWIDTH, both at least 1; or one number for both."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if isinstance(value, tuple):
            return value
        match = re.fullmatch(r"(\d{1,9})(?:x(\d{1,9}))?", value)
        if match is None or 0 in (sides := (int(match[1]), int(match[2] or match[1]))):
            self.fail(f"expected HEIGHTxWIDTH as 56x56, found {value!r}", param, ctx)
        return sides


class Numbers(click.ParamType):
    """Whole numbers of at least `least` with commas between, each once: a sweep over them."""

    name = "numbers"

    def __init__(self, least: int = 1, most: int = 10**9) -> None:
        self.least, self.most = least, most

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if isinstance(value, tuple):
            return value
        words = value.split(",")
        numbers = [int(word) if re.fullmatch(r"\d{1,10}", word) else -1 for word in words]
        if not all(self.least <= number <= self.most for number in numbers):
            self.fail(
                f"expected whole numbers from {self.least:,} to {self.most:,} as 1,3,5, "
                f"found {value!r}", param, ctx,
            )  # fmt: skip
        if len(numbers) > MOST_LISTED or len(set(numbers)) < len(numbers):
            most = f"up to {MOST_LISTED} different numbers"
            self.fail(f"expected {most}, found {value!r}", param, ctx)
        return tuple(numbers)


plot = click.option(
    "--plot", metavar="FILE", help="Draw a picture: .png, .svg or .pdf (needs matplotlib)."
)


def check_outputs(json: str | None, plot: str | None, overwrite: bool) -> None:
    """Whether the report and the picture can be written, before anything is measured."""
    outputs = {label: name for label, name in (("--json", json), ("--plot", plot)) if name}
    options.check_distinct({}, outputs)
    options.check_report(json, overwrite)
    if plot is not None:
        from facegen.lab.plots import canvas

        canvas.check(plot)
        options.check_output(plot, overwrite)


def say_table(headers: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> None:
    """A table on standard output."""
    for line in text_table(headers, rows, left).splitlines():
        terminal.say(line)
