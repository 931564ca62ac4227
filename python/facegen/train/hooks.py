"""What is done now and then in a run: measuring, drawing samples, ending it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Every:
    """What is done after every so many steps, and after the last.

    Attributes
    ----------
    do
        Called with the number of steps done. What it returns becomes part of an entry of the log;
        `Enough` ends the run. The state must be all that it changes.
    at_start
        Also before the first step, with 0.
    """

    steps: int
    do: Callable[[int], Mapping[str, Any] | None]
    at_start: bool = False


class Enough(Exception):
    """Raised by a hook: the run is as good as it will be.

    Attributes
    ----------
    entry
        For the log, as other hooks return.
    """

    def __init__(self, reason: str, entry: Mapping[str, Any] | None = None) -> None:
        super().__init__(reason)
        self.entry = entry or {}
