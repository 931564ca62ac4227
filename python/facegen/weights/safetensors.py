"""Weights as safetensors: canonical names and layouts; the metadata says which network.

Tensors may be stored as float16 to halve the file: every float16 is a float32 too.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import safetensors
import safetensors.numpy

from facegen.errors import FormatError, first_line
from facegen.files.atomic import AtomicFile
from facegen.numbers.floats import as_float32
from facegen.weights.checks import (
    Path,
    Shape,
    check_finite,
    check_names,
    check_shape,
    file_size,
    parse_json,
)
from facegen.weights.format import Contents, Described, Format
from facegen.weights.layout import Layout, arranged, file_shapes

# The header is JSON that is parsed in memory: ours takes about 100 bytes a tensor.
MAX_HEADER_BYTES = 1 << 20
_LENGTH_BYTES = 8
METADATA = ("network", "graph")
_TYPES: dict[str, np.dtype[Any]] = {"F32": np.dtype("<f4"), "F16": np.dtype("<f2")}


class Header(NamedTuple):
    network: str | None  # what the metadata say
    graph: str | None  # of a network without a description: JSON, see facegen.graphs.file
    shapes: dict[str, Shape]
    types: dict[str, str]


def read_header(path: Path) -> Header:
    """Names, shapes and types, and the network's name where the file tells; reads no tensor."""
    size = file_size(path)
    with open(path, "rb") as file:
        return _read_header(path, file, size)


def _read_header(path: Path, file: BinaryIO, size: int) -> Header:
    length = int.from_bytes(file.read(_LENGTH_BYTES), "little")
    if length > size - _LENGTH_BYTES:
        raise FormatError(
            f"{path}: header of {length:,} bytes announced at byte 0, in {size:,} bytes"
        )
    if length > MAX_HEADER_BYTES:
        raise FormatError(
            f"{path}: header of {length:,} bytes announced at byte 0, "
            f"at most {MAX_HEADER_BYTES:,} expected"
        )
    tensors = parse_json(path, file.read(length))
    if not isinstance(tensors, dict):
        raise FormatError(f"{path}: its header is no dict of tensors")
    metadata = tensors.pop("__metadata__", None)
    stated = [metadata.get(key) if isinstance(metadata, dict) else None for key in METADATA]
    network, graph = (text if isinstance(text, str) else None for text in stated)
    header = Header(network, graph, {}, {})
    for name, tensor in tensors.items():
        shape = tensor.get("shape") if isinstance(tensor, dict) else None
        if not isinstance(shape, list) or not all(type(n) is int and n >= 0 for n in shape):
            raise FormatError(f"{path}: tensor {name!r:.100} has no shape")
        header.shapes[name] = tuple(shape)
        header.types[name] = str(tensor.get("dtype"))
    return header


def read(path: Path, shapes: Mapping[str, Shape]) -> dict[str, np.ndarray]:
    """Canonical weights, which must be exactly the tensors of `shapes` and finite; float32.

    The file is read, not mapped: one that is cut meanwhile is an error, where a mapping would end
    the process by a signal.

    Raises
    ------
    FormatError
        The file is damaged, or a tensor is missing, unknown, of another shape or type, or holds
        NaN or infinity.
    OSError
        The file cannot be read.
    """
    size = file_size(path)
    with open(path, "rb") as file:
        header = _read_header(path, file, size)
        check_names(path, shapes, header.shapes)
        for name, shape in shapes.items():
            check_shape(path, name, shape, header.shapes[name])
            found = header.types[name]
            if found not in _TYPES:
                raise FormatError(
                    f"{path}: tensor {name!r:.100}: expected F32 or F16, found {found:.20}"
                )
        expected = file.tell() + sum(
            prod(shape) * _TYPES[header.types[name]].itemsize for name, shape in shapes.items()
        )
        if size != expected:
            raise FormatError(
                f"{path}: not a valid safetensors file: expected {expected:,} bytes, found {size:,}"
            )
        file.seek(0)
        data = file.read(size)
    try:
        tensors = dict(safetensors.deserialize(data))
    except safetensors.SafetensorError as error:
        reason = first_line(error)
        raise FormatError(f"{path}: not a valid safetensors file: {reason}") from error
    del data
    weights = {}
    for name, shape in shapes.items():
        tensor = tensors.pop(name)
        # The library has a header of its own: of a name that is there twice it may take the other.
        if (tuple(tensor["shape"]), tensor["dtype"]) != (shape, header.types[name]):
            raise FormatError(f"{path}: tensor {name!r:.100} is there twice")
        values = np.frombuffer(tensor["data"], _TYPES[header.types[name]]).reshape(shape)
        weights[name] = as_float32(values)
        check_finite(path, name, weights[name])
    return weights


def write(
    path: Path, network: str, weights: Mapping[str, np.ndarray], graph: str | None = None
) -> None:
    """Write canonical weights, float32 or float16; the file appears when it is complete.

    The metadata name the network, or have its graph: one entry, as the library writes several in
    any order, and the same network should be the same bytes.

    Raises
    ------
    FormatError
        The metadata are longer than a reader takes.
    OSError
        The file cannot be written.
    """
    tensors = {name: np.ascontiguousarray(values) for name, values in weights.items()}
    metadata = {"network": network} if graph is None else {"graph": graph}
    data = safetensors.numpy.save(tensors, metadata=metadata)
    length = int.from_bytes(data[:_LENGTH_BYTES], "little")
    if length > MAX_HEADER_BYTES:
        raise FormatError(
            f"{path}: its header would be {length:,} bytes, and at most {MAX_HEADER_BYTES:,} are "
            "read"
        )
    with AtomicFile(path) as file:
        file.write(data)


def _open(path: Path) -> Contents:
    header = read_header(path)

    def read_as(layout: Layout) -> dict[str, np.ndarray]:
        return arranged(read(path, file_shapes(layout)), layout)

    return Contents(header.shapes, read_as, header.network)


def _write(path: Path, network: Described, weights: Mapping[str, np.ndarray]) -> None:
    write(path, network.name, weights)


FORMAT = Format(
    name="safetensors",
    title=".safetensors",
    begins=lambda path, start, size: (
        start[8:9] == b"{" and int.from_bytes(start[:8], "little") <= size - 8
    ),
    open=_open,
    extension=".safetensors",
    write=_write,
    halves=True,
)
