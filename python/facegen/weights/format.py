"""What a format of weights is: a file of this folder makes one `Format`, one line lists it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np

from facegen.weights.checks import Path, Shape
from facegen.weights.layout import BinaryLayout, Layout


class Described(Protocol):
    """What a format asks of a network's description in order to write its weights."""

    @property
    def name(self) -> str: ...

    @property
    def shapes(self) -> Mapping[str, Shape]: ...

    @property
    def binary_layout(self) -> BinaryLayout | None: ...


class Contents(NamedTuple):
    """What a file says of itself, by which it is found out whose weights they are.

    Attributes
    ----------
    shapes
        Of the tensors by their names in the file; None where it names none and its size is all.
    read
        Canonical weights, of the layout that the file was found to have.
    network
        The name of the network, where the file tells.
    part
        What of the file is read, in words, where it holds weights of several.
    state_dict
        The same tensors as a PyTorch checkpoint has them, by their names in a module, where the
        file may be one in all but its format.
    """

    shapes: Mapping[str, Shape] | None
    read: Callable[[Layout], dict[str, np.ndarray]]
    network: str | None = None
    part: str = ""
    state_dict: Contents | None = None


def can_hold_any(network: Described) -> bool:
    return True


@dataclass(frozen=True)
class Format:
    """A format of files of weights.

    Attributes
    ----------
    name
        As ``facegen inspect`` says it, and as a network's `foreign` layouts are listed by.
    title
        The same in a sentence, after "a": "PyTorch checkpoint".
    begins
        Whether a file is of it, by its path, its first `START_BYTES` bytes and its size.
    open
        Looks into a file; checks what it says of itself, and reads no more than that takes.
    extension
        Of the files that are written; none where the format is only read.
    write
        Takes a path, the network's description and its canonical weights, which were checked.
    can_hold
        Whether a network's weights can be written in it.
    halves
        Whether a tensor may be float16.
    """

    name: str
    title: str
    begins: Callable[[Path, bytes, int], bool]
    open: Callable[[Path], Contents]
    extension: str = ""
    write: Callable[[Path, Described, Mapping[str, np.ndarray]], None] | None = None
    can_hold: Callable[[Described], bool] = can_hold_any
    halves: bool = False


START_BYTES = 16  # of a file, which are enough to know every format by
ZIP_MAGIC = b"PK\x03\x04"  # what two of them start with: .npz, and PyTorch's checkpoints
