"""What commands print: every line goes through here, with what could steer a terminal made visible.

| function | prints | where |
|---|---|---|
| `result` | what scripts read, with --quiet too: paths of fetched files | stdout |
| `say` | what was done or found; not with --quiet | stdout, or stderr where an output has it |
| `detail` | what --verbose adds | stderr |
| `warn` | warnings; not with --quiet | stderr |
| `note_of_results` | what is worth knowing of results, once there are some | stderr |
| `warn_of_results` | warnings of results, likewise | stderr |
| `results_are_there` | what those two were given; not with --quiet | stderr |
| `progressed` | how far long work is; not with --quiet | stderr |
| `fail`, `show_traceback` | errors | stderr |

While a bar of `progress` is shown, lines for stderr go above it.
"""

from __future__ import annotations

import re
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum

import click

from facegen.files.standard import is_stdout

# Names of files may hold them: C0 and C1 control characters (escape sequences begin with one),
# ends of lines, what turns the direction of writing, and bytes that are no text.
_STEERING = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


class Loudness(IntEnum):
    """How much is printed."""

    QUIET = 0  # errors and results
    NORMAL = 1
    VERBOSE = 2


@dataclass
class _State:
    """How the command that runs speaks."""

    loudness: Loudness = Loudness.NORMAL
    stdout_is_data: bool = False
    above_bar: Callable[[str], None] | None = None  # prints a line while a bar is shown
    of_results: list[str] = field(default_factory=list)


_state = _State()


def reset() -> None:
    """A command begins."""
    global _state
    _state = _State()


def choose(loudness: Loudness) -> None:
    """What --quiet and --verbose ask for; a UsageError where both do."""
    if _state.loudness not in (Loudness.NORMAL, loudness):
        raise click.UsageError("--quiet and --verbose: name one of them")
    _state.loudness = loudness


def hush() -> None:
    """Another process of the same command says all; this one's errors alone are printed."""
    _state.loudness = Loudness.QUIET


def is_quiet() -> bool:
    return _state.loudness == Loudness.QUIET


def is_verbose() -> bool:
    return _state.loudness == Loudness.VERBOSE


def give_stdout_to(outputs: Mapping[str, str | None]) -> None:
    """Where one of the outputs is standard output, lines go to stderr; UsageError where two are."""
    there = [label for label, name in outputs.items() if is_stdout(name)]
    if len(there) > 1:
        raise click.UsageError(f"{there[0]} and {there[1]} cannot both be '-', standard output")
    if there:
        _state.stdout_is_data = True


def show_above(bar: Callable[[str], None] | None) -> None:
    """What prints a line while a bar is shown; None where none is shown any more."""
    _state.above_bar = bar


def visible(text: str) -> str:
    r"""The text with control characters as Python writes them: "\x1b", "\n"."""
    return _STEERING.sub(_escaped, text)


def _escaped(match: re.Match[str]) -> str:
    code = ord(match[0])
    if 0xDC80 <= code <= 0xDCFF:  # how Python holds a byte of a name that is no text
        return f"\\x{code - 0xDC00:02x}"
    return match[0].encode("unicode_escape", "surrogatepass").decode()


def counted(number: int, thing: str) -> str:
    """A number of things, as "1 face" or "1,234 faces"."""
    return f"{number:,} {thing}" if number == 1 else f"{number:,} {thing}s"


def result(line: str) -> None:
    click.echo(visible(line))


def say(line: str) -> None:
    if _state.loudness >= Loudness.NORMAL:
        if _state.stdout_is_data:
            _to_stderr(line)
        else:
            click.echo(visible(line))


def detail(line: str) -> None:
    if _state.loudness >= Loudness.VERBOSE:
        _to_stderr(f"facegen: {line}")


def progressed(line: str) -> None:
    _unless_quiet(line)


def warn(message: str) -> None:
    _unless_quiet(f"facegen: warning: {message}")


def warn_of_results(message: str) -> None:
    """What is to be known of results, said when there are some: not where the command fails."""
    _state.of_results.append(f"facegen: warning: {message}")


def note_of_results(message: str) -> None:
    """The same, of what is no fault."""
    _state.of_results.append(f"facegen: {message}")


def results_are_there() -> None:
    """Print what was noted and warned of results, once."""
    while _state.of_results:
        _unless_quiet(_state.of_results.pop(0))


def fail(message: str, more: Sequence[str] = ()) -> None:
    """Say what went wrong; `more` are lines of another program's below it."""
    _to_stderr(f"facegen: {message}")
    for line in more:
        _to_stderr(line.expandtabs())


def show_traceback() -> None:
    """Show the traceback of the exception that is being handled."""
    for line in traceback.format_exc().splitlines():
        _to_stderr(line)


def _unless_quiet(line: str) -> None:
    if _state.loudness >= Loudness.NORMAL:
        _to_stderr(line)


def _to_stderr(line: str) -> None:
    if sys.stderr is None:
        return
    if _state.above_bar is not None:
        _state.above_bar(visible(line))
    else:
        click.echo(visible(line), err=True)
