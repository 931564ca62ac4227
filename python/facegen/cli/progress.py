"""How far long work is: a bar on stderr where that is a terminal; and what was there already."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from facegen.cli import terminal
from facegen.cli.terminal import counted
from facegen.files.journal import Journal, NoJournal


def resumed(journal: Journal | NoJournal, item: str) -> str:
    """What --resume found, for people: "Resumed : 64 faces are there"."""
    every = "all " if journal.finished and journal.done > 1 else ""
    verb = "is" if journal.done == 1 else "are"
    return f"Resumed : {every}{counted(journal.done, item)} {verb} there"


@contextmanager
def progress(total: int | None, unit: str) -> Iterator[Callable[[int], None]]:
    """Give a function that says how many more are done; it may be called from any thread.

    No bar is shown where the total is not known, nor with --quiet.
    """
    hidden = total is None or terminal.is_quiet()
    if hidden or sys.stderr is None or not sys.stderr.isatty():
        yield lambda done: None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        Task,
        TimeRemainingColumn,
    )
    from rich.text import Text

    class Rate(ProgressColumn):
        def render(self, task: Task) -> Text:
            return Text(f"{task.speed:,.0f} {unit}/s" if task.speed else f"- {unit}/s")

    columns = (BarColumn(), MofNCompleteColumn(), Rate(), TimeRemainingColumn())
    console = Console(stderr=True)
    # Lines come by `terminal`; rich would take all of stdout to stderr, where the bar is.
    bar = Progress(
        *columns, console=console, transient=True, redirect_stdout=False, redirect_stderr=False
    )
    with bar:
        terminal.show_above(lambda line: console.print(Text(line), soft_wrap=True))
        try:
            task = bar.add_task(unit, total=total)
            yield lambda done: bar.advance(task, done)
        finally:
            terminal.show_above(None)
