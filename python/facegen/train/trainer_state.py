"""The state of a trainer: which arrays it must have, and its file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import safetensors.numpy

from facegen.errors import FormatError
from facegen.files.atomic import AtomicFile
from facegen.nn import Graph
from facegen.nn.layers import BatchNorm
from facegen.weights.safetensors import Header, read_arrays

MOST_STEPS = 2**62  # no run has so many, and one more is still a number of the state
_FORMAT = "facegen.train 1"
_KINDS = {np.dtype(np.float32): "F32", np.dtype(np.uint64): "U64"}  # as safetensors calls them

Arrays = Mapping[str, np.ndarray]


def check(graph: Graph, arrays: Arrays, state: Arrays) -> None:
    """That a state can take the place of a trainer's arrays, and of its seed and count of steps.

    Raises
    ------
    ValueError
        An array is missing, unknown, of another shape or type, not finite, or a variance below 0;
        or there are too many steps.
    """
    kinds = {name: _KINDS.get(array.dtype, str(array.dtype)) for name, array in state.items()}
    _check_shapes(graph, arrays, {name: (kinds[name], state[name].shape) for name in state})
    if (steps := int(state[":steps"])) > MOST_STEPS:
        raise ValueError(f":steps of the state must be at most {MOST_STEPS:,}, not {steps:,}")
    variances = {f"{node.name}.var" for node in graph.nodes if isinstance(node.layer, BatchNorm)}
    for name, array in state.items():
        if not np.isfinite(array).all():
            raise ValueError(f"{name} of the state has a number that is not finite")
        # Both have their roots taken: what a batch norm divides by, and Adam.
        if (name in variances or name.endswith(":second")) and (array < 0).any():
            raise ValueError(f"{name} of the state must be 0 or more, found {array.min()}")


def write(path: str | Path, state: Arrays) -> None:
    """Write a state to a safetensors file, whole or not at all."""
    data = safetensors.numpy.save(dict(state), {"format": _FORMAT})
    with AtomicFile(path) as file:
        file.write(data)


def read(path: str | Path, graph: Graph, arrays: Arrays) -> dict[str, np.ndarray]:
    """The arrays of a file that `write` made, of the shapes and types that they must have.

    Raises
    ------
    FormatError
        The file is damaged, or of another kind; or they do not fit, which is found before any is
        read.
    """

    def check_header(header: Header) -> None:
        found = header.metadata.get("format")
        if found != _FORMAT:
            raise FormatError(f"{path}: expected format {_FORMAT!r}, found {found!r:.100}")
        shapes = {name: (header.types[name], shape) for name, shape in header.shapes.items()}
        try:
            _check_shapes(graph, arrays, shapes)
        except ValueError as error:
            raise FormatError(f"{path}: {error}") from None

    return read_arrays(str(path), check_header)


def _check_shapes(
    graph: Graph, arrays: Arrays, found: Mapping[str, tuple[str, tuple[int, ...]]]
) -> None:
    """That a state has the right arrays, by types and shapes."""
    expected = {name: ("F32", array.shape) for name, array in arrays.items()}
    expected |= {name: ("U64", ()) for name in (":seed", ":steps")}
    for name, (kind, shape) in expected.items():
        if name not in found:
            raise ValueError(f"the state of {graph.name} lacks {name}, of shape {shape}")
        its_kind, its_shape = found[name]
        if its_shape != shape:
            raise ValueError(f"{name} of the state must have shape {shape}, not {its_shape}")
        if its_kind != kind:
            raise ValueError(f"{name} of the state must be {kind}, not {its_kind}")
    if unknown := sorted(found.keys() - expected.keys()):
        raise ValueError(f"{graph.name}, so trained, has nothing named {unknown[0]}")
