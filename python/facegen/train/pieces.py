"""Several arrays as one: an input of a batch that comes from different places."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Pieces:
    """What a batch takes as one array, in pieces; nothing is joined before it is where it belongs.

    Attributes
    ----------
    arrays
        Each as a trainer takes it alone, on the host or on its GPU.
    interleaved
        The first image of each piece, then the second of each, and so on: pieces of one length.
        Otherwise a piece comes after the other.

    Examples
    --------
    >>> real, made = np.zeros((2, 1, 1, 1)), np.ones((2, 1, 1, 1))
    >>> Pieces([real, made], interleaved=True).joined().ravel()
    array([0., 1., 0., 1.])
    """

    arrays: Sequence[Any]
    interleaved: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.arrays, Sequence):
            found = type(self.arrays).__name__
            raise ValueError(f"pieces: expected a list of arrays, found {found}")

    def __len__(self) -> int:
        return sum(length_of("a piece", array) for array in self.arrays)

    def joined(self) -> np.ndarray:
        """Of arrays on the host."""
        if not self.interleaved:
            return np.concatenate(self.arrays)
        return np.stack(self.arrays, axis=1).reshape(-1, *np.shape(self.arrays[0])[1:])


def length_of(name: str, array: Any) -> int:
    """Of an array of whatever library; ValueError where it is a number."""
    shape = np.shape(array)
    if not shape:
        raise ValueError(f"{name}: expected an array of images, found a number")
    return int(shape[0])
