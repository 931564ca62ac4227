"""A graph with its weights as an ONNX file."""

from __future__ import annotations

from typing import Any

import numpy as np

from facegen.errors import FormatError, first_line
from facegen.files.atomic import AtomicFile
from facegen.graphs import End, GraphNetwork
from facegen.onnx_files.emit import emit
from facegen.onnx_files.emitter import MAP, VECTOR, Emitter
from facegen.onnx_files.file import NETWORK_KEY, import_onnx
from facegen.weights.checks import Path

BATCH = "n"
MOST_BYTES = 2**31 - 1  # of one protobuf message


def write(path: Path, network: GraphNetwork) -> None:
    """Write a network as ONNX, opset 17 or the oldest later one that has its operators.

    Maps are (n, channels, height, width), with any n; initialisers have the names of the graph's
    parameters. The file appears when it is complete.

    Raises
    ------
    FacegenError
        The package onnx is not installed.
    FormatError
        A layer has no counterpart in ONNX, or the weights are more than a file holds.
    OSError
        The file cannot be written.
    """
    size = sum(values.nbytes for values in network.weights.values())
    if size > MOST_BYTES:
        raise FormatError(f"{path}: ONNX files hold {MOST_BYTES:,} bytes, the weights are {size:,}")
    try:
        model = to_model(network)
    except ValueError as error:
        raise FormatError(f"{path}: {error}") from None
    with AtomicFile(path) as file:
        file.write(model.SerializeToString())


def to_model(network: GraphNetwork) -> Any:
    """The ModelProto of a network, valid by onnx's checker.

    Raises
    ------
    ValueError
        A layer has no counterpart in ONNX.
    """
    from facegen import __version__

    onnx = import_onnx("writing")
    graph = network.graph
    ends = {end.name for end in (*network.inputs, *network.outputs)}
    emitter = Emitter({n.name: n.shape for n in graph.nodes}, network.weights, ends)
    for tensor, end in zip(graph.inputs, network.inputs, strict=True):
        _take(emitter, tensor.name, end)
    for node in graph.nodes:
        if node.layer is not None:
            try:
                emit(emitter, node)
            except ValueError as error:
                raise ValueError(f"layer {node.name!r:.100}: {error}") from None
    for tensor, end in zip(graph.outputs, network.outputs, strict=True):
        _give(emitter, tensor.name, end)
    helper = onnx.helper
    body = helper.make_graph(
        emitter.nodes,
        graph.name,
        [_described(helper, onnx, end) for end in network.inputs],
        [_described(helper, onnx, end) for end in network.outputs],
        emitter.initializers,
    )
    opsets = [helper.make_opsetid("", emitter.opset)]
    model = helper.make_model(
        body,
        opset_imports=opsets,
        ir_version=helper.find_min_ir_version_for(opsets),
        producer_name="facegen",
        producer_version=__version__,
    )
    if network.known_as is not None:
        helper.set_model_props(model, {NETWORK_KEY: network.known_as})
    try:
        onnx.checker.check_model(model)
    except Exception as error:  # each kind of fault has a class of its own there
        raise ValueError(f"is no valid ONNX model: {first_line(error)}") from None
    return model


def _described(helper: Any, onnx: Any, end: End) -> Any:
    return helper.make_tensor_value_info(end.name, onnx.TensorProto.FLOAT, [BATCH, *end.shape])


def _take(emitter: Emitter, tensor: str, end: End) -> None:
    """An input: a vector, a map, or a map of one row (n, channels, width)."""
    if len(end.shape) == 1:
        emitter.know(tensor, VECTOR, end.name)
    elif len(end.shape) == 3:
        emitter.know(tensor, MAP, end.name)
    else:
        channels, width = end.shape
        emitter.know(tensor, MAP, emitter.reshape(end.name, f"{tensor}.map", (channels, 1, width)))


def _give(emitter: Emitter, tensor: str, end: End) -> None:
    """An output under its name, in its shape."""
    if end.order is not None:
        order = emitter.constant(f"{end.name}.order", np.asarray(end.order, np.int64).ravel())
        value = emitter.value(tensor, VECTOR)
        if end.order.ndim == 1:
            emitter.emit_end("Gather", [value, order], end.name, axis=1)
            return
        value = emitter.emit("Gather", [value, order], f"{end.name}.ordered", axis=1)
    elif len(end.shape) == 2:
        value = emitter.value(tensor, MAP)
    else:
        value = emitter.value(tensor, VECTOR if len(end.shape) == 1 else MAP)
        if not emitter.rename(value, end.name):
            emitter.emit_end("Identity", [value], end.name)
        return
    shape = emitter.constant(f"{end.name}.shape", np.array([0, *end.shape], np.int64))
    emitter.emit_end("Reshape", [value, shape], end.name)
