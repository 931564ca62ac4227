"""Options and words of the experiments: sizes, lists of numbers, pictures; how tables are said."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Any

import click

from facegen.cli import options, terminal
from facegen.cli.progress import progress

if TYPE_CHECKING:
    from facegen.lab.timing import Clock, Times

__all__ = ["progress"]  # which the experiments show too
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
    """Whole numbers from `least` to `most` with commas between.

    Each once, a sweep over them; or, where `count` is stated, so many, which may be alike.
    """

    name = "numbers"

    def __init__(self, least: int = 1, most: int = 10**9, count: int | None = None) -> None:
        self.least, self.most, self.count = least, most, count

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if isinstance(value, tuple):
            return value
        words = value.split(",")
        numbers = [int(word) if re.fullmatch(r"[0-9]{1,10}", word) else -1 for word in words]
        if not all(self.least <= number <= self.most for number in numbers):
            self.fail(
                f"expected whole numbers from {self.least:,} to {self.most:,} as 1,3,5, "
                f"found {value!r}", param, ctx,
            )  # fmt: skip
        if self.count is not None:
            if len(numbers) != self.count:
                self.fail(f"expected {self.count} numbers, found {value!r}", param, ctx)
        elif len(numbers) > MOST_LISTED or len(set(numbers)) < len(numbers):
            most = f"up to {MOST_LISTED} different numbers"
            self.fail(f"expected {most}, found {value!r}", param, ctx)
        return tuple(numbers)


plot = click.option(
    "--plot", metavar="FILE", help="Draw a picture: .png, .svg or .pdf (needs matplotlib)."
)

threads = click.option(
    "--threads", type=click.IntRange(1, 1024), help="All that this process may use if not given."
)
seconds = click.option(
    "--seconds", type=options.FiniteRange(0, 3600, min_open=True), default=2.0, show_default=True,
    help="About how long each row is measured: the longer, the steadier.",
)  # fmt: skip


clock = click.option(
    "--clock", type=click.Choice(["wall", "processor"]), default="wall", show_default=True,
    help="processor: time that the process was computed for, on 1 thread. It is steadier where "
    "others use the machine too.",
)  # fmt: skip


@dataclass(frozen=True)
class Measuring:
    """What the options of `measuring` say."""

    threads: int
    seconds: float
    clock_name: str
    json: str | None
    plot: str | None

    @property
    def clock(self) -> Clock:
        from facegen.lab.timing import CLOCKS

        return CLOCKS[self.clock_name]

    def describe(self) -> dict[str, Any]:
        """The machine, with how it was measured."""
        from facegen.lab.machine import describe

        return {**describe(self.threads), "clock": self.clock_name}


def measuring(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options of what computes and is timed, as one keyword: `measuring`; and of all commands."""

    @wraps(command)
    def gathered(
        threads: int | None,
        seconds: float,
        clock: str,
        json_: str | None,
        plot: str | None,
        overwrite: bool,
        **others: Any,
    ) -> Any:
        from facegen.cli import start

        chosen = thread_count(threads, clock)
        start.begin("cpu", chosen)  # before anything imports NumPy
        check_threads(chosen)
        check_outputs(json_, plot, overwrite)
        return command(measuring=Measuring(chosen, seconds, clock, json_, plot), **others)

    decorated: Callable[..., Any] = gathered
    for option in (
        options.common, options.overwrite, plot, options.json_report, clock, seconds, threads
    ):  # fmt: skip
        decorated = option(decorated)
    return decorated


def thread_count(given: int | None, clock: str = "wall") -> int:
    """What --threads asks for; a UsageError where that clock does not suit it."""
    from facegen import processors

    if clock == "processor":
        if given not in (None, 1):
            raise click.UsageError("--clock processor: expected --threads 1")
        return 1
    return given or processors.count()


def check_threads(count: int) -> None:
    """Refuse more threads than the engine takes: fewer would be measured."""
    from facegen import _native

    if count > (most := _native.most_threads()):
        raise click.UsageError(f"--threads {count:,}: expected up to {most:,} on this machine")


def sweep_of_threads(given: tuple[int, ...] | None) -> tuple[int, ...]:
    """What --threads asks for, in order: powers of two and all, if nothing is given."""
    if given is not None:
        return tuple(sorted(given))
    most = thread_count(None)
    return tuple(sorted({most, *(1 << i for i in range(most.bit_length()))}))


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
    from facegen.nn.table import text_table

    for line in text_table(headers, rows, left).splitlines():
        terminal.say(line)


def say_machine(machine: Mapping[str, Any]) -> None:
    """What the figures below are of."""
    count = terminal.counted(machine["threads"], "thread")
    terminal.say(f"{machine['processor']}, {machine['isa']}, {count}, {machine['date'][:10]}")


def time_cells(times: Times) -> list[str]:
    """Median in ms, and spread."""
    return [f"{1e3 * times.median:.3f}", spread_cell(times)]


def spread_cell(times: Times) -> str:
    """What one sample alone has none of."""
    return "-" if times.spread is None else f"±{100 * times.spread:.0f}%"


def times_report(times: Times) -> dict[str, Any]:
    """For --json: seconds."""
    return {
        "seconds": times.median,
        "spread": times.spread,
        "least": times.least,
        "samples": len(times.samples),
    }
