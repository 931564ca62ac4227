"""Weights as safetensors: canonical names and layouts; the metadata says which network.

Tensors may be stored as float16 to halve the file: every float16 is a float32 too. A file without
our metadata may be a state_dict of PyTorch's, by its names and in its layouts; that may hold other
types too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
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
from facegen.weights.layout import Layout, arranged, canonical, file_shapes
from facegen.weights.state_dict import plain_names

# The header is JSON that is parsed in memory: ours takes about 100 bytes a tensor.
MAX_HEADER_BYTES = 1 << 20
_LENGTH_BYTES = 8
METADATA = ("network", "graph")
_TYPES = ("F32", "F16")  # of canonical weights
_ELEMENTS: dict[str, np.dtype[Any]] = {
    "F64": np.dtype("<f8"), "F32": np.dtype("<f4"), "F16": np.dtype("<f2"),
    "BF16": np.dtype("<u2"),  # the upper half of a float32
    "I64": np.dtype("<i8"), "I32": np.dtype("<i4"), "I16": np.dtype("<i2"), "I8": np.dtype("i1"),
    "U64": np.dtype("<u8"), "U32": np.dtype("<u4"), "U16": np.dtype("<u2"), "U8": np.dtype("u1"),
    "BOOL": np.dtype("u1"),
}  # fmt: skip


class Header(NamedTuple):
    network: str | None  # what the metadata say
    graph: str | None  # of a network without a description: JSON, see facegen.graphs.file
    shapes: dict[str, Shape]
    types: dict[str, str]
    metadata: dict[str, str]


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
    texts = metadata.items() if isinstance(metadata, dict) else ()
    plain = {key: text for key, text in texts if isinstance(text, str)}
    header = Header(network, graph, {}, {}, plain)
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
        stored = _read_stored(path, file, size, header)
    weights = {}
    for name in shapes:
        weights[name] = as_float32(stored.pop(name))
        check_finite(path, name, weights[name])
    return weights


def read_state_dict(path: Path, layout: Layout) -> dict[str, np.ndarray]:
    """Canonical weights of a state_dict, whose tensors must be exactly those of `layout`.

    Raises
    ------
    FormatError, OSError
        As for `read`.
    """
    size = file_size(path)
    with open(path, "rb") as file:
        header = _read_header(path, file, size)
        names = plain_names(header.shapes)
        check_names(path, layout, names)
        for name, entry in layout.items():
            check_shape(path, name, entry.file_shape, header.shapes[names[name]])
        stored = _read_stored(path, file, size, header)
    return canonical(path, {plain: stored[name] for plain, name in names.items()}, layout)


def read_arrays(path: Path, check: Callable[[Header], None]) -> dict[str, np.ndarray]:
    """All arrays as they are, once `check` has found nothing wrong with the header.

    Raises
    ------
    FormatError
        The file is damaged, or has a type that NumPy has not.
    OSError
        The file cannot be read.
    """
    size = file_size(path)
    with open(path, "rb") as file:
        header = _read_header(path, file, size)
        check(header)
        return _read_stored(path, file, size, header)


def _read_stored(
    path: Path, file: BinaryIO, size: int, header: Header
) -> dict[str, np.ndarray]:
    """All tensors as they lie in a file whose header was read; bfloat16 as float32."""
    for name, kind in header.types.items():
        if kind not in _ELEMENTS:
            raise FormatError(f"{path}: tensor {name!r:.100}: expected F32, found {kind:.20}")
    expected = file.tell() + sum(
        prod(shape) * _ELEMENTS[header.types[name]].itemsize
        for name, shape in header.shapes.items()
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
    stored = {}
    for name, shape in header.shapes.items():
        tensor = tensors.pop(name)
        kind = header.types[name]
        # The library has a header of its own: of a name that is there twice it may take the other.
        if (tuple(tensor["shape"]), tensor["dtype"]) != (shape, kind):
            raise FormatError(f"{path}: tensor {name!r:.100} is there twice")
        values = np.frombuffer(tensor["data"], _ELEMENTS[kind]).reshape(shape)
        if kind == "BF16":
            values = (values.astype(np.uint32) << 16).view(np.float32)
        stored[name] = values
    return stored


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

    told = header.network is not None or header.graph is not None
    return Contents(
        header.shapes, read_as, header.network, state_dict=None if told else _named(path, header)
    )


def _named(path: Path, header: Header) -> Contents:
    names = plain_names(header.shapes)
    shapes = {plain: header.shapes[name] for plain, name in names.items()}
    return Contents(shapes, partial(read_state_dict, path))


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
