"""Tensors that another program named and laid out its own way, as canonical weights."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from facegen.errors import FormatError
from facegen.numbers.floats import as_float32
from facegen.weights.checks import Path, check_finite, check_names, check_shape
from facegen.weights.network_bin import Entry

Layout = Mapping[str, Entry]  # a file's name -> that tensor's shape there and canonical name


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
        weights[entry.name] = np.ascontiguousarray(values.transpose(entry.axes))
    return weights
