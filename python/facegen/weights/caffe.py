"""Caffe's .caffemodel: the blobs of a trained network, by the names of its layers. Read only.

The file is a protobuf message, NetParameter of Caffe's `caffe.proto`. Google's library reads it by
the few fields that are declared here; it skips the others (how the network was trained).
"""

from __future__ import annotations

from functools import cache
from math import prod
from typing import Any

import numpy as np

from facegen.errors import FacegenError, FormatError
from facegen.weights.checks import Path, file_size

EXTENSION = ".caffemodel"  # the format has no magic number: the name tells it
# A message is parsed in memory. The networks that are read from such files take 5 MB.
MAX_BYTES = 64 << 20
PARTS = ("weight", "bias")  # a layer's blobs, in Caffe's order

# Message -> field -> (number, type, repeated). `layers` is what `layer` was called until 2014.
_MESSAGES: dict[str, dict[str, tuple[int, str, bool]]] = {
    "NetParameter": {
        "layers": (2, "V1LayerParameter", True),
        "layer": (100, "LayerParameter", True),
    },
    "LayerParameter": {"name": (1, "string", False), "blobs": (7, "BlobProto", True)},
    "V1LayerParameter": {"name": (4, "string", False), "blobs": (6, "BlobProto", True)},
    "BlobProto": {
        "num": (1, "int32", False),
        "channels": (2, "int32", False),
        "height": (3, "int32", False),
        "width": (4, "int32", False),
        "data": (5, "float", True),
        "shape": (7, "BlobShape", False),
        "double_data": (8, "double", True),
    },
    "BlobShape": {"dim": (1, "int64", True)},
}


def read(path: Path) -> dict[str, np.ndarray]:
    """The blobs of all layers that have some: "conv1.weight", "conv1.bias", in Caffe's layouts.

    Raises
    ------
    FormatError
        The file is damaged or too large, or a layer's blobs are not one or two, of as many values
        as their shape says.
    FacegenError
        protobuf is not installed.
    OSError
        The file cannot be read.
    """
    size = file_size(path)
    if size > MAX_BYTES:
        raise FormatError(f"{path}: found {size:,} bytes, expected at most {MAX_BYTES:,}")
    net = _parse(path)
    tensors: dict[str, np.ndarray] = {}
    for layer in (*net.layer, *net.layers):
        if len(layer.blobs) > len(PARTS):
            raise FormatError(
                f"{path}: layer {layer.name!r}: expected a weight and a bias, "
                f"found {len(layer.blobs)} blobs"
            )
        for part, blob in zip(PARTS, layer.blobs, strict=False):
            name = f"{layer.name}.{part}"
            if name in tensors:
                raise FormatError(f"{path}: tensor {name!r} is there twice")
            tensors[name] = _array(path, name, blob)
    if not tensors:
        raise FormatError(f"{path}: not a .caffemodel: no layer in it has weights")
    return tensors


def _parse(path: Path) -> Any:
    try:
        from google.protobuf.message import DecodeError
    except ImportError:
        raise FacegenError(
            f"{path}: .caffemodel files need protobuf, which is missing: "
            "pip install 'facegen[caffe]'"
        ) from None
    net = _net_parameter()()
    with open(path, "rb") as file:
        data = file.read()
    try:
        net.ParseFromString(data)
    except DecodeError as error:
        raise FormatError(f"{path}: not a valid .caffemodel: {error}") from error
    return net


@cache
def _net_parameter() -> Any:
    """The class of Caffe's NetParameter, as far as it is declared above."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    field_type = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="facegen/caffe.proto", package="facegen.caffe")
    for message, fields in _MESSAGES.items():
        declared = file.message_type.add(name=message)
        for name, (number, kind, repeated) in fields.items():
            field = declared.field.add(name=name, number=number)
            field.label = field_type.LABEL_REPEATED if repeated else field_type.LABEL_OPTIONAL
            if kind in _MESSAGES:
                field.type, field.type_name = field_type.TYPE_MESSAGE, f".facegen.caffe.{kind}"
            else:
                field.type = field_type.Type.Value(f"TYPE_{kind.upper()}")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    descriptor = pool.FindMessageTypeByName("facegen.caffe.NetParameter")
    return message_factory.GetMessageClass(descriptor)


def _array(path: Path, name: str, blob: Any) -> np.ndarray:
    """Float32 in the blob's shape; a bias of the old form is (1, 1, 1, n)."""
    shape = tuple(blob.shape.dim)
    if not shape:
        shape = (blob.num, blob.channels, blob.height, blob.width)
        if name.endswith(".bias") and shape[:3] == (1, 1, 1):
            shape = shape[3:]
    data = blob.double_data if len(blob.double_data) else blob.data
    if min(shape) < 0 or prod(shape) != len(data):
        raise FormatError(
            f"{path}: tensor {name!r}: found {len(data):,} values, expected shape {shape}"
        )
    return np.array(data, np.float32).reshape(shape)
