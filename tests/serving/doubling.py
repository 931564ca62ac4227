"""A model that doubles what it gets, tells what came in which call, and can be held in one."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from typing import Any

import numpy as np

import facegen
from facegen.errors import FormatError

WATCHDOG = 60.0  # seconds; nothing waits for it unless it hangs
NEVER = 3600.0


class Doubling:
    """A model of numbers and arrays; strings and NaN are bad items; the first call can be held."""

    def __init__(self, held: bool = False) -> None:
        self.batches: list[Any] = []
        self.entered, self.go_on = threading.Event(), threading.Event()
        if not held:
            self.go_on.set()

    def __call__(self, items: Any) -> Any:
        self.batches.append(items)
        self.entered.set()
        assert self.go_on.wait(WATCHDOG)
        for item in items:
            if isinstance(item, str) or np.isnan(item).any():
                raise FormatError(f"found {item}")
        return items * 2 if isinstance(items, np.ndarray) else [item * 2 for item in items]


def behind(batcher: facegen.Batcher, model: Doubling) -> Future[Any]:
    """Have the thread held in a call, so that what is submitted next waits."""
    first = batcher.submit(0)
    assert model.entered.wait(WATCHDOG)
    return first
