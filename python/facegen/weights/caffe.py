"""Caffe's .caffemodel: the blobs of a trained network, by the names of its layers. Read only.

The file is a protobuf message, NetParameter of Caffe's `caffe.proto`: fields one after another,
each a number and a value, where a value may be such a message. The fields that are needed are:

    NetParameter      layer = 100 (layers = 2 until 2014): LayerParameter, repeated
    LayerParameter    name = 1 (4): string; blobs = 7 (6): BlobProto, repeated
    BlobProto         num, channels, height, width = 1 to 4: int32, or shape = 7: BlobShape
                      data = 5: float, repeated; double_data = 8: double, repeated
    BlobShape         dim = 1: int64, repeated

The others, which say how the network was trained, are passed over.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from facegen.errors import FormatError
from facegen.numbers.floats import as_float32
from facegen.weights.checks import Path, Shape, file_size
from facegen.weights.format import Contents, Format
from facegen.weights.layout import canonical

# Imported where a file is a .caffemodel: most are not.
if TYPE_CHECKING:
    from facegen.weights.protobuf import Message

EXTENSION = ".caffemodel"  # the format has no magic number: the name tells it
# A file is read into memory as a whole. The networks that are read from such files take 5 MB.
MAX_BYTES = 64 << 20
MAX_DIMENSIONS = 8
PARTS = ("weight", "bias")  # a layer's blobs, in Caffe's order

_LAYERS = {100: (1, 7), 2: (4, 6)}  # field of NetParameter -> fields of name and blobs in it
_DATA: dict[int, np.dtype[Any]] = {5: np.dtype("<f4"), 8: np.dtype("<f8")}


def read(path: Path) -> dict[str, np.ndarray]:
    """The blobs of all layers that have some: "conv1.weight", "conv1.bias", in Caffe's layouts.

    Raises
    ------
    FormatError
        The file is damaged or too large, or a layer's blobs are not one or two, of as many values
        as their shape says.
    OSError
        The file cannot be read.
    """
    from facegen.weights.protobuf import DamagedMessage, Message

    size = file_size(path)
    if size > MAX_BYTES:
        raise FormatError(f"{path}: found {size:,} bytes, expected at most {MAX_BYTES:,}")
    with open(path, "rb") as file:
        data = memoryview(file.read(MAX_BYTES))
    tensors: dict[str, np.ndarray] = {}
    try:
        for name, blob in _blobs(Message(data)):
            if name in tensors:
                raise FormatError(f"tensor {name!r} is there twice")
            tensors[name] = _array(name, blob)
    except DamagedMessage as error:
        raise FormatError(f"{path}: not a valid .caffemodel: {error}") from error
    except FormatError as error:
        raise FormatError(f"{path}: {error}") from error
    if not tensors:
        raise FormatError(f"{path}: not a .caffemodel: no layer in it has weights")
    return tensors


def _blobs(net: Message) -> Iterator[tuple[str, Message]]:
    """Each tensor's name and BlobProto."""
    for field in net:
        if field.number not in _LAYERS:
            continue
        name_field, blobs_field = _LAYERS[field.number]
        layer = ""
        blobs: list[Message] = []
        for part in field.message():
            if part.number == name_field:
                layer = part.text()
            elif part.number == blobs_field:
                blobs.append(part.message())
        if len(blobs) > len(PARTS):
            raise FormatError(
                f"layer {layer!r}: expected a weight and a bias, found {len(blobs)} blobs"
            )
        for part_name, blob in zip(PARTS, blobs, strict=False):
            yield f"{layer}.{part_name}", blob


def _array(name: str, blob: Message) -> np.ndarray:
    """Float32 in the blob's shape; a bias of the old form is (1, 1, 1, n)."""
    old = [0, 0, 0, 0]
    shape: list[int] = []
    pieces: dict[int, list[np.ndarray]] = {number: [] for number in _DATA}
    for field in blob:
        if 1 <= field.number <= 4:
            old[field.number - 1] = field.integer()
        elif field.number == 7:
            for part in field.message():
                if part.number == 1:
                    shape += part.integers(MAX_DIMENSIONS)
            if len(shape) > MAX_DIMENSIONS:
                raise FormatError(f"tensor {name!r}: more than {MAX_DIMENSIONS} dimensions")
        elif field.number in _DATA:
            pieces[field.number].append(field.array(_DATA[field.number]))
    sizes: Shape = tuple(shape or old)
    if not shape and name.endswith(".bias") and sizes[:3] == (1, 1, 1):
        sizes = sizes[3:]
    parts = pieces[8] or pieces[5] or [np.empty(0, np.float32)]
    values = parts[0] if len(parts) == 1 else np.concatenate(parts)
    if min(sizes) < 0 or prod(sizes) != len(values):
        raise FormatError(f"tensor {name!r}: found {len(values):,} values, expected shape {sizes}")
    return np.require(as_float32(values), requirements="W").reshape(sizes)


def _open(path: Path) -> Contents:
    tensors = read(path)
    shapes = {name: values.shape for name, values in tensors.items()}
    return Contents(shapes, partial(canonical, path, tensors))


FORMAT = Format(
    name="caffe",
    title=EXTENSION,
    begins=lambda path, start, size: os.fspath(path).lower().endswith(EXTENSION),
    open=_open,
)
