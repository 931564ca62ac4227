"""How a file names and lays out its tensors, and canonical weights of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import NamedTuple

import numpy as np

from facegen.errors import FormatError
from facegen.numbers.floats import as_float32
from facegen.weights.checks import Path, Shape, check_finite, check_names, check_shape


class Entry(NamedTuple):
    """One tensor of the file: ``file_tensor.transpose(axes)`` has the canonical layout.

    Where `constant` is given, the network does not use the tensor: it is read over, and written
    filled with that number.
    """

    name: str
    file_shape: Shape
    axes: tuple[int, ...]
    constant: float | None = None

    @property
    def size_bytes(self) -> int:
        """Bytes of the tensor as float32."""
        return 4 * prod(self.file_shape)

    @property
    def shape(self) -> Shape:
        """Shape of the canonical tensor."""
        return tuple(self.file_shape[axis] for axis in self.axes)

    def canonical(self, values: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(values.transpose(self.axes))


BinaryLayout = Sequence[Entry]  # of a file without names: its tensors, one after another
Layout = Mapping[str, Entry]  # a file's name -> that tensor's shape there and canonical name


def layout_of(shapes: Mapping[str, Shape]) -> Layout:
    """The layout of a file with canonical names and axes."""
    return {name: Entry(name, shape, tuple(range(len(shape)))) for name, shape in shapes.items()}


def file_shapes(layout: Layout) -> dict[str, Shape]:
    """Shapes of all tensors of such a file, by their names there."""
    return {name: entry.file_shape for name, entry in layout.items()}


def arranged(tensors: Mapping[str, np.ndarray], layout: Layout) -> dict[str, np.ndarray]:
    """Canonical weights from a file's tensors, which were checked as they were read."""
    used = {name: entry for name, entry in layout.items() if entry.constant is None}
    return {entry.name: entry.canonical(tensors[name]) for name, entry in used.items()}


def canonical(
    path: Path, tensors: Mapping[str, np.ndarray], layout: Layout
) -> dict[str, np.ndarray]:
    """Canonical weights from the tensors of a file, which must be exactly those of `layout`.

    Entries with a `constant` must be there too, and are not used.

    Raises
    ------
    FormatError
        A tensor is missing, unknown, of another shape or type, or holds NaN or infinity.
    """
    check_names(path, layout, tensors)
    weights = {}
    for name, entry in layout.items():
        if entry.constant is not None:
            continue
        values = tensors[name]
        check_shape(path, name, entry.file_shape, values.shape)  # before memory is taken
        if values.dtype.kind != "f":
            raise FormatError(f"{path}: tensor {name!r}: expected float32, found {values.dtype}")
        values = as_float32(values)
        check_finite(path, name, values)
        weights[entry.name] = entry.canonical(values)
    return weights
