"""Tensors whose data lie in files beside the model: inside its folder, and of the right size."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from typing import Any

from facegen.errors import FormatError
from facegen.weights.checks import Path


def check_external(path: Path, model: Any) -> None:
    """Refuse external data that lie outside the model's folder, are missing or too short."""
    for tensor in _external_tensors(model):
        _place(path, tensor)


def read_external(path: Path, model: Any) -> None:
    """Put external data into the model's tensors."""
    for tensor in _external_tensors(model):
        file, offset, size = _place(path, tensor)
        with open(file, "rb") as data:
            data.seek(offset)
            content = data.read(size)
        if len(content) != size:  # it was cut meanwhile
            raise FormatError(f"{file}: expected {size:,} bytes from {offset:,} on")
        tensor.raw_data = content
        tensor.data_location = type(tensor).DEFAULT
        del tensor.external_data[:]


def _external_tensors(model: Any) -> Iterator[Any]:
    """Of the graph itself: nodes with graphs inside are refused anyway."""
    tensors = list(model.graph.initializer)
    tensors += [a.t for node in model.graph.node for a in node.attribute if a.HasField("t")]
    yield from (tensor for tensor in tensors if tensor.data_location == type(tensor).EXTERNAL)


def _place(path: Path, tensor: Any) -> tuple[str, int, int]:
    """File, offset and size in bytes of a tensor's data."""
    from onnx import helper

    where = f"{path}: tensor {tensor.name!r:.100}"
    stated = {entry.key: entry.value for entry in tensor.external_data}
    location = stated.get("location", "")
    folder = os.path.realpath(os.path.dirname(os.fspath(path)))
    file = os.path.realpath(os.path.join(folder, location))
    if not location or os.path.commonpath([folder, file]) != folder:
        raise FormatError(
            f"{where}: its data are in {location!r:.100}, outside the folder of the model"
        )
    if not os.path.isfile(file):
        raise FormatError(f"{where}: its data are in {location!r:.100}, which is no file")
    try:
        itemsize = helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize
        offset = int(stated.get("offset", 0))
        size = math.prod(tensor.dims) * itemsize
        length = int(stated.get("length", size))
    except (KeyError, ValueError, TypeError):
        raise FormatError(f"{where}: its type, offset or length is no number known") from None
    found = os.path.getsize(file)
    if length != size or min(size, offset) < 0 or offset + size > found:
        raise FormatError(
            f"{where}: expected {size:,} bytes from {offset:,} on in {location!r:.100}, "
            f"found {length:,} in a file of {found:,}"
        )
    return file, offset, size
