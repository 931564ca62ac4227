"""network.bin: a network's tensors as little-endian float32, one after another, nothing else.

Which tensors, in what order and with which axes differs from network to network: that is the
network's `BinaryLayout`. The size of the file is the only thing that tells what is in it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from io import BufferedReader

import numpy as np

from facegen.errors import FormatError
from facegen.files.atomic import AtomicFile
from facegen.weights.checks import Path, check_finite, check_names, check_shape, file_size
from facegen.weights.format import Contents, Described, Format
from facegen.weights.layout import BinaryLayout, Entry, Layout

_FLOAT = np.dtype("<f4")
# Tensors are checked and laid out by so much, while it is in the cache: a tensor at once goes
# through the memory three times, and takes fresh pages for it.
_PART_BYTES = 1 << 20


def size_bytes(layout: BinaryLayout) -> int:
    """Exact size of a file of this layout."""
    return sum(entry.size_bytes for entry in layout)


def read(path: Path, layout: BinaryLayout) -> dict[str, np.ndarray]:
    """Canonical weights of a network.bin.

    Raises
    ------
    FormatError
        The file has another size, or holds NaN or infinity (the message names the tensor).
    OSError
        The file cannot be read.
    """
    expected, found = size_bytes(layout), file_size(path)
    if found != expected:
        raise FormatError(f"{path}: expected {expected:,} bytes, found {found:,}")
    weights = {}
    offset = 0
    with open(path, "rb") as file:
        for entry in layout:
            if entry.constant is not None:
                offset = file.seek(entry.size_bytes, os.SEEK_CUR)
                continue
            weights[entry.name] = _read_tensor(path, file, entry, offset)
            offset += entry.size_bytes
    return weights


def _read_tensor(path: Path, file: BufferedReader, entry: Entry, offset: int) -> np.ndarray:
    """The canonical tensor of what begins at byte `offset`, where the file is."""
    canonical = np.empty(entry.shape, np.float32)
    as_in_file = canonical.transpose(np.argsort(entry.axes))
    count = entry.file_shape[0]
    at_once = min(count, max(1, _PART_BYTES * count // entry.size_bytes))
    part = np.empty((at_once, *entry.file_shape[1:]), _FLOAT)
    for first in range(0, count, at_once):
        values = part[: count - first]
        if file.readinto(values.reshape(-1).view(np.uint8).data) != values.nbytes:
            raise FormatError(f"{path}: ends inside tensor {entry.name!r} (byte {offset})")
        as_in_file[first : first + at_once] = values
        if not np.isfinite(values).all():
            file.seek(offset)
            whole = np.fromfile(file, _FLOAT, as_in_file.size).reshape(entry.file_shape)
            check_finite(path, entry.name, whole, offset)  # which says where
    return canonical


def write(path: Path, layout: BinaryLayout, weights: Mapping[str, np.ndarray]) -> None:
    """Write canonical weights; the file appears under its name only when it is complete."""
    used = [entry for entry in layout if entry.constant is None]
    check_names("weights", (entry.name for entry in used), weights)
    for entry in used:
        check_shape("weights", entry.name, entry.shape, weights[entry.name].shape)
    with AtomicFile(path) as file:
        for entry in layout:
            if entry.constant is not None:
                file.write(np.full(entry.file_shape, entry.constant, _FLOAT).tobytes())
                continue
            back = np.argsort(entry.axes)
            values = np.ascontiguousarray(weights[entry.name].transpose(back), dtype=_FLOAT)
            file.write(values.reshape(-1).view(np.uint8).data)


def _open(path: Path) -> Contents:
    def read_as(layout: Layout) -> dict[str, np.ndarray]:
        return read(path, list(layout.values()))

    return Contents(shapes=None, read=read_as)


def _write(path: Path, network: Described, weights: Mapping[str, np.ndarray]) -> None:
    assert network.binary_layout is not None  # `can_hold` was asked
    write(path, network.binary_layout, weights)


FORMAT = Format(
    name="network.bin",
    title="network.bin",
    begins=lambda path, start, size: False,  # nothing marks it
    open=_open,
    extension=".bin",
    write=_write,
    can_hold=lambda network: network.binary_layout is not None,
)
