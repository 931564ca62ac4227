"""What every reader and writer of weights checks, with the same words everywhere."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterable, Mapping

import numpy as np

from facegen.errors import FormatError, first_line
from facegen.numbers.floats import as_float32

Path = str | os.PathLike[str]
Shape = tuple[int, ...]


def file_size(path: Path) -> int:
    """Size of a regular file in bytes; anything else (a directory, a pipe) raises."""
    status = os.stat(path)
    if stat.S_ISDIR(status.st_mode):
        raise FormatError(f"{path}: expected a network's file, found a directory")
    if not stat.S_ISREG(status.st_mode):
        raise FormatError(f"{path}: expected a regular file, found a pipe or a device")
    return status.st_size


def parse_json(path: Path, text: bytes) -> object:
    """What a header of JSON means."""
    try:
        return json.loads(text.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else first_line(error)
        raise FormatError(f"{path}: its header is no JSON: {reason}") from error


def check_names(where: Path, expected: Iterable[str], found: Iterable[str]) -> None:
    """Every expected tensor is there and no other."""
    expected, found = list(expected), list(found)
    known, present = set(expected), set(found)
    missing = [name for name in expected if name not in present]
    unknown = [name for name in found if name not in known]
    if missing:
        raise FormatError(f"{where}: tensor {missing[0]!r} is missing{_others(missing)}")
    if unknown:
        raise FormatError(f"{where}: unknown tensor {unknown[0]!r:.100}{_others(unknown)}")
    if len(found) != len(present):
        twice = next(name for name in found if found.count(name) > 1)
        raise FormatError(f"{where}: tensor {twice!r:.100} is there twice")


def _others(names: list[str]) -> str:
    return f" (and {len(names) - 1} more)" if len(names) > 1 else ""


def check_shape(where: Path, name: str, expected: Shape, found: Iterable[int]) -> None:
    found = tuple(found)
    if found != expected:
        shown = found if len(found) <= 8 else f"{len(found):,} dimensions"
        raise FormatError(f"{where}: tensor {name!r}: expected shape {expected}, found {shown}")


def check_finite(where: Path, name: str, values: np.ndarray, offset: int | None = None) -> None:
    """No NaN and no infinity; `offset` is where the tensor starts in the file, in bytes."""
    finite = np.isfinite(values)
    if finite.all():
        return
    index = int(np.argmin(finite))  # the first False, in C order
    position = tuple(int(i) for i in np.unravel_index(index, values.shape))
    place = "" if offset is None else f" (byte {offset + index * values.itemsize})"
    raise FormatError(
        f"{where}: tensor {name!r} holds {values[position]} at {list(position)}{place}: "
        "weights must be finite"
    )


def check_variance(where: Path, name: str, values: np.ndarray) -> None:
    """No negative one, whose root would make NaN of every result."""
    if values.min() < 0:
        index = int(np.argmin(values))
        raise FormatError(
            f"{where}: tensor {name!r} holds {values[index]} at [{index}]: "
            "a variance cannot be negative"
        )


def checked(
    weights: Mapping[str, np.ndarray], shapes: Mapping[str, Shape], where: Path = "weights"
) -> dict[str, np.ndarray]:
    """The same weights as C-contiguous float32 in the order of `shapes`, or an error.

    Raises
    ------
    FormatError
        A tensor is missing, unknown, of another shape or type, or holds NaN or infinity.
    """
    check_names(where, shapes, weights)
    result = {}
    for name, shape in shapes.items():
        values = np.asarray(weights[name])
        if values.dtype.kind != "f" or values.dtype.itemsize > 8:
            raise FormatError(f"{where}: tensor {name!r}: expected float32, found {values.dtype}")
        check_shape(where, name, shape, values.shape)
        result[name] = as_float32(values)
        check_finite(where, name, result[name])
    return result
