"""Batches of samples that are read from files: each is decoded, changed at random and stacked.

A reader is plain data and a function, so it can be pickled and read in other processes (`ahead`).
What it gives for a step depends on the step alone, and not on who reads when.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from facegen.errors import FormatError
from facegen.photos import photo
from facegen.train.order import Batch, Order


class Sample(Protocol):
    """Reads the sample of a number as arrays; what is drawn for it comes from `random`.

    Raises FormatError where it cannot be read.
    """

    def __call__(self, sample: int, random: np.random.Generator) -> tuple[np.ndarray, ...]: ...


@dataclass(frozen=True)
class Loaded:
    """A batch as it was read.

    Attributes
    ----------
    arrays
        What the samples have, stacked: (n, ...) each.
    unreadable
        Why samples cannot be read, by their numbers.
    """

    batch: Batch
    arrays: tuple[np.ndarray, ...]
    unreadable: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Reader:
    """The batches of an `Order`, sample by sample.

    A sample that cannot be read is passed over: the next in the set takes its place, so that all
    batches are of their size.

    Raises
    ------
    FormatError
        Not one sample can be read.
    """

    read: Sample
    order: Order

    def __call__(self, step: int) -> Loaded:
        batch = self.order(step)
        unreadable: dict[int, str] = {}
        read = [self._read(int(sample), batch, unreadable) for sample in batch.samples]
        return Loaded(batch, tuple(map(np.stack, zip(*read, strict=True))), unreadable)

    def _read(self, sample: int, batch: Batch, unreadable: dict[int, str]) -> Sequence[np.ndarray]:
        for further in range(self.order.samples):
            chosen = (sample + further) % self.order.samples
            if chosen in unreadable:
                continue
            try:
                return self.read(chosen, batch.random_of(chosen))
            except FormatError as error:
                unreadable[chosen] = str(error)
        first = unreadable[sample]
        raise FormatError(f"not one of {self.order.samples:,} samples can be read: {first}")


def read_rgb(path: str | Path, least_side: int | None = None) -> NDArray[np.uint8]:
    """A picture as every command reads it (`facegen.photos.photo`), on white: (h, w, 3).

    `least_side` lets a JPEG be decoded smaller, to no less than so many pixels a side.
    Raises FormatError, which names the file, where it cannot be read.
    """
    try:
        return photo.opaque(photo.decode(photo.read_bytes(path), least_side=least_side))
    except FormatError as error:
        raise FormatError(f"{path}: {error}") from None
    except OSError as error:
        raise FormatError(f"{path}: {error.strerror or error}") from None


class Unreadable:
    """Samples that could not be read, each told of once."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell, self._known = tell, set[int]()

    @property
    def count(self) -> int:
        return len(self._known)

    def add(self, loaded: Loaded) -> None:
        for sample, reason in loaded.unreadable.items():
            if sample not in self._known:
                self._known.add(sample)
                self._tell(f"skipped {reason}")
