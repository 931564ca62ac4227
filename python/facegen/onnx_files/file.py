"""A file as onnx's own message, checked, with its external data read."""

from __future__ import annotations

import math
import os
from typing import Any

from facegen import extras
from facegen.errors import FacegenError, FormatError, first_line
from facegen.onnx_files.external import check_external, read_external
from facegen.weights.checks import Path, file_size

OLDEST_OPSET = 7  # from which on broadcasting is NumPy's
MOST_SHAPE_NUMBERS = 64  # of a tensor that states sizes, axes, pads

NETWORK_KEY = "facegen.network"  # of the metadata: the network of ours that a file is


def import_onnx(doing: str = "reading") -> Any:
    """The package onnx.

    Raises
    ------
    FacegenError
        It is not installed; the message says how to install it.
    """
    try:
        import onnx
        import onnx.checker
        import onnx.reference
        import onnx.shape_inference
    except ImportError:
        raise FacegenError(
            f"{doing} ONNX files needs onnx, which is missing: {extras.install('onnx')}"
        ) from None
    return onnx


def load_checked(path: Path) -> Any:
    """A file's ModelProto, valid by onnx's checker, with all its data.

    Raises
    ------
    FacegenError
        The package onnx is not installed.
    FormatError
        It is no ONNX model, damaged, or its external data are not what and where they must be.
    OSError
        The file cannot be read.
    """
    onnx = import_onnx()
    if file_size(path) == 0:
        raise FormatError(f"{path}: expected an ONNX model, found an empty file")
    with open(path, "rb") as file:
        content = file.read()
    try:
        model = onnx.load_model_from_string(content)
    except Exception as error:  # protobuf's, which has several implementations
        raise FormatError(f"{path}: is no ONNX model, or truncated: {first_line(error)}") from None
    _check_names(path, model.graph)
    opset(path, model)
    check_external(path, model)
    try:
        onnx.checker.check_model(os.fspath(path))
    except Exception as error:  # each kind of fault has a class of its own there
        raise FormatError(f"{path}: is no valid ONNX model: {first_line(error)}") from None
    read_external(path, model)
    return model


def inferred_shapes(path: Path, model: Any) -> dict[str, Any]:
    """Types and shapes that onnx's own inference finds, by the names of what has them.

    It is given what the nodes compute with, and no shape that the file states of their results:
    where a size is negative, an assertion in it ends the process. A model must have been read
    before, which refuses the nodes that make such sizes.

    Raises
    ------
    FormatError
        It fails.
    """
    onnx = import_onnx()
    graph, bare = model.graph, onnx.ModelProto()
    bare.ir_version = model.ir_version
    bare.opset_import.extend(model.opset_import)
    bare.graph.name = graph.name
    bare.graph.node.extend(graph.node)
    for tensor in graph.initializer:
        copy = bare.graph.initializer.add()
        if math.prod(tensor.dims) <= MOST_SHAPE_NUMBERS:
            copy.CopyFrom(tensor)
        else:  # a weight: messages of 2 GiB cannot be handed over
            copy.name, copy.data_type = tensor.name, tensor.data_type
            copy.dims.extend(tensor.dims)
    bare.graph.input.extend(graph.input)
    for given in bare.graph.input:
        for size in given.type.tensor_type.shape.dim:
            if size.dim_value < 1:  # some write -1 for what is free
                size.Clear()
    for made in graph.output:
        end = bare.graph.output.add(name=made.name)
        end.type.tensor_type.elem_type = made.type.tensor_type.elem_type
    try:
        found = onnx.shape_inference.infer_shapes(bare, data_prop=True).graph
    except Exception as error:  # each kind of fault has a class of its own there
        raise FormatError(f"{path}: is no valid ONNX model: {first_line(error)}") from None
    return {each.name: each.type.tensor_type for each in (*found.value_info, *found.output)}


def _check_names(path: Path, graph: Any) -> None:
    """Protobuf hands on as bytes what is no UTF-8."""
    names = [graph.name]
    for node in graph.node:
        names += [node.name, node.op_type, node.domain, *node.input, *node.output]
        names += [attribute.name for attribute in node.attribute]
    stated = [attribute.t for node in graph.node for attribute in node.attribute]
    for tensor in (*graph.initializer, *stated):
        names += [tensor.name, *(text for e in tensor.external_data for text in (e.key, e.value))]
    names += [end.name for end in (*graph.input, *graph.output, *graph.value_info)]
    damaged = next((name for name in names if not isinstance(name, str)), None)
    if damaged is not None:
        raise FormatError(f"{path}: is no ONNX model: {damaged!r:.100} in it is no UTF-8")


def known_as(model: Any) -> str | None:
    """The network of ours that a file says it is."""
    stated = {each.key: each.value for each in model.metadata_props}
    name = stated.get(NETWORK_KEY)
    return name if isinstance(name, str) else None


def opset(path: Path, model: Any) -> int:
    """The version of ONNX's own operators that a model is written in.

    Raises
    ------
    FormatError
        It states none, or one that is too old.
    """
    versions = [each.version for each in model.opset_import if each.domain in ("", "ai.onnx")]
    if not versions:
        raise FormatError(f"{path}: is no ONNX model: it states no version of ONNX's operators")
    version = max(versions)
    if version < OLDEST_OPSET:
        raise FormatError(
            f"{path}: expected opset {OLDEST_OPSET} or later, found {version}; "
            "onnx.version_converter makes a newer one of it"
        )
    return int(version)
