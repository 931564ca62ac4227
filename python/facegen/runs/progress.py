"""How a run tells how far it is."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol

Advance = Callable[[int], None]  # so many more items are done


class Progress(Protocol):
    """Called when a run begins, with its items and their name; what is entered is told the rest."""

    def __call__(self, total: int | None, unit: str) -> AbstractContextManager[Advance]:
        """`total` is None where it is not known; `Advance` may be called from any thread."""
