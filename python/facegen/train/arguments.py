"""What is said of a trainer's arguments that are of another kind than they must be."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from numbers import Real

import numpy as np


def check_kind(name: str, value: object, kind: type | tuple[type, ...], expected: str) -> None:
    """ValueError where a value is of another kind; `expected` is that in words."""
    if not isinstance(value, kind):
        found = "None" if value is None else type(value).__name__
        raise ValueError(f"{name} must be {expected}, not {found}")


def check_flag(name: str, value: object) -> None:
    """ValueError for what is neither true nor false, as "no"."""
    if not isinstance(value, bool | np.bool_):
        raise ValueError(f"{name} must be True or False, not {value!r:.80}")


def check_names(name: str, value: object) -> None:
    """ValueError for what is no collection of names; a word alone would be one of its letters."""
    alone = isinstance(value, str | bytes | np.ndarray)  # an array may be a number
    if alone or not isinstance(value, Collection) or not all(isinstance(e, str) for e in value):
        raise ValueError(f"{name} must be a collection of names, not {value!r:.80}")


def check_numbers(name: str, value: object) -> None:
    """ValueError for what are no numbers by names."""
    check_kind(name, value, Mapping, "numbers by names")
    assert isinstance(value, Mapping)
    for key, number in value.items():
        check_kind(f"{name} of {key!r:.80}", number, Real, "a number")


def check_arrays(name: str, value: object) -> None:
    """ValueError for what are no arrays of NumPy by names."""
    check_kind(name, value, Mapping, "arrays by names")
    assert isinstance(value, Mapping)
    for key, array in value.items():
        check_kind(f"{key} of {name}", array, (np.ndarray, np.generic), "an array of NumPy")
