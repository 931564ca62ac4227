"""Something made for each size of maps, and kept for the last few."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any, Generic, TypeVar

import numpy as np

Key = TypeVar("Key", bound=Hashable)
Made = TypeVar("Made")

MOST = 4  # each holds the weights as the device wants them


class PerSize(Generic[Key, Made]):
    """Makes what is not there, and forgets what was not asked for the longest.

    Notes
    -----
    Safe to call from several threads at once: one makes, the others wait. A pickled one is empty.
    """

    def __init__(self, make: Callable[[Key], Made], most: int = MOST) -> None:
        self._make, self._most = make, most
        self._made: OrderedDict[Key, Made] = OrderedDict()
        self._lock = threading.Lock()

    def __call__(self, key: Key) -> Made:
        with self._lock:
            if key not in self._made:
                while len(self._made) >= self._most:
                    self._made.popitem(last=False)  # first: its memory is free for the new one
                self._made[key] = self._make(key)
            self._made.move_to_end(key)
            return self._made[key]

    def __reduce__(self) -> tuple[Any, ...]:
        return PerSize, (self._make, self._most)


def by_shape(
    prepared: Sequence[np.ndarray], compute: Callable[[np.ndarray], Iterable[Any]]
) -> list[Any]:
    """What becomes of each array; those of one shape are computed together."""
    found: list[Any] = [None] * len(prepared)
    for shape in dict.fromkeys(each.shape for each in prepared):
        places = [i for i, each in enumerate(prepared) if each.shape == shape]
        results = compute(np.stack([prepared[i] for i in places]))
        for i, result in zip(places, results, strict=True):
            found[i] = result
    return found
