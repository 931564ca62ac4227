"""Files of Caffe's weights, written by Google's library."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

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


def model(
    tensors: dict[str, np.ndarray], old: bool = False, double: bool = False, packed: bool = True
) -> Any:
    """A NetParameter; `old` is the form of 2014: V1 layers, blobs with four sizes."""
    net = _net_parameter(packed)()
    layers: dict[str, Any] = {}
    for name, values in tensors.items():
        layer = name.rpartition(".")[0]
        if layer not in layers:
            layers[layer] = (net.layers if old else net.layer).add(name=layer)
        blob = layers[layer].blobs.add()
        (blob.double_data if double else blob.data).extend(values.reshape(-1).tolist())
        if old:
            sizes = (1,) * (4 - values.ndim) + values.shape
            blob.num, blob.channels, blob.height, blob.width = sizes
        else:
            blob.shape.dim.extend(values.shape)
    (net.layers if old else net.layer).add(name="relu")  # has no blobs
    return net


@cache
def _net_parameter(packed: bool) -> Any:
    """The class of Caffe's NetParameter, as far as it is declared above."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    package = f"caffe.packed_{packed}".lower()
    field_type = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name=f"{package}.proto", package=package)
    for message, fields in _MESSAGES.items():
        declared = file.message_type.add(name=message)
        for name, (number, kind, repeated) in fields.items():
            field = declared.field.add(name=name, number=number)
            field.label = field_type.LABEL_REPEATED if repeated else field_type.LABEL_OPTIONAL
            if kind in _MESSAGES:
                field.type, field.type_name = field_type.TYPE_MESSAGE, f".{package}.{kind}"
            else:
                field.type = field_type.Type.Value(f"TYPE_{kind.upper()}")
                if repeated:
                    field.options.packed = packed
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    descriptor = pool.FindMessageTypeByName(f"{package}.NetParameter")
    return message_factory.GetMessageClass(descriptor)
