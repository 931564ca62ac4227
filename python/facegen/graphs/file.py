"""Graphs in files: a .safetensors of the weights, whose metadata has the graph as JSON.

The JSON has `name`, `nodes` and `outputs`, as `facegen.graphs.data` has them, `ends`, and as
`network` the name of the network of `facegen.networks` that it is, or null. A network of its own
classes has their names as `classes`, and a classifier has `preparation`: what a picture's pixels
become.

`ends`: the inputs and the outputs as people have them, each with its name, its shape without the
batch, channels first, and for outputs that were reshaped the order of their numbers.
"""

from __future__ import annotations

import math
import os
from typing import Any

import numpy as np

from facegen.errors import FormatError
from facegen.files.json_text import json_text
from facegen.graphs import pictures
from facegen.graphs.data import Kinds, entries, from_data, to_data, whole_numbers
from facegen.graphs.network import End, GraphNetwork, check_variances
from facegen.nn import Tensor
from facegen.weights import halve, safetensors, sniff
from facegen.weights.checks import Path, parse_json

ONNX = ".onnx"
MOST_ORDERED = 65_536  # numbers of an output whose order a file may list


def is_onnx(path: Path) -> bool:
    """Whether a file is meant to be ONNX's: by its name, as nothing in its content tells it."""
    return os.fspath(path).lower().endswith(ONNX)


def is_saved(path: Path) -> bool:
    """Whether a file has a graph in its metadata.

    Raises
    ------
    FormatError
        It is a damaged .safetensors, or no regular file.
    OSError
        It cannot be read.
    """
    is_ours = sniff(path) is safetensors.FORMAT
    return is_ours and safetensors.read_header(path).graph is not None


def write(path: Path, network: GraphNetwork, half: bool = False) -> None:
    """Write a network with its graph; the file appears when it is complete.

    Parameters
    ----------
    half
        Round layers' weights to float16, as `facegen.weights.write` does.

    Raises
    ------
    FormatError
        What no such file holds: an output of many numbers in an order of its own, a graph of more
        text than a header may have.
    OSError
        The file cannot be written.
    """
    data = {"network": network.known_as, **to_data(network.graph)}
    data["ends"] = {
        "inputs": [_end_data(path, end) for end in network.inputs],
        "outputs": [_end_data(path, end) for end in network.outputs],
    }
    if network.classes is not None:
        data["classes"] = list(network.classes)
    if network.preparation is not None:
        data["preparation"] = pictures.to_data(network.preparation)
    text = json_text(data, compact=True)
    weights = halve(network.weights) if half else network.weights
    safetensors.write(path, network.graph.name, weights, text)


def read(path: Path) -> GraphNetwork:
    """Read what `write` wrote.

    Raises
    ------
    FormatError
        The file has no graph, or one that is not valid, or is damaged: the message says where.
    OSError
        The file cannot be read.
    """
    header = safetensors.read_header(path)
    if header.graph is None:
        raise FormatError(f"{path}: expected a graph in its metadata, found none")
    data = parse_json(path, header.graph.encode())
    try:
        kinds = {"name": str, "nodes": list, "outputs": list, "ends": dict}
        optional: Kinds = {
            "network": (str, type(None)), "classes": list, "preparation": dict,
        }  # fmt: skip
        stated = dict(entries(data, "the graph", kinds, optional))
        ends, known_as = stated.pop("ends"), stated.pop("network", None)
        named, prepared = stated.pop("classes", None), stated.pop("preparation", None)
        graph = from_data(stated)
        ends = entries(ends, "ends", {"inputs": list, "outputs": list})
        inputs = _ends(ends["inputs"], graph.inputs, "input", ordered=False)
        outputs = _ends(ends["outputs"], graph.outputs, "output", ordered=True)
        classes = None if named is None else pictures.classes(named, graph)
        preparation = None if prepared is None else pictures.from_data(prepared, graph)
    except ValueError as error:
        raise FormatError(f"{path}: its graph: {error}") from None
    weights = safetensors.read(path, graph.parameters)
    check_variances(graph, weights, str(path))
    return GraphNetwork(
        graph, weights, inputs, outputs, known_as, classes=classes, preparation=preparation
    )


def _end_data(path: Path, end: End) -> dict[str, Any]:
    data: dict[str, Any] = {"name": end.name, "shape": list(end.shape)}
    if end.order is None:
        return data
    if end.order.size > MOST_ORDERED:
        raise FormatError(
            f"{path}: output {end.name!r:.100} has {end.order.size:,} numbers in an order of their "
            f"own, and a file takes at most {MOST_ORDERED:,}; save it without the transpose"
        )
    return {**data, "order": [int(each) for each in end.order.ravel()]}


def _ends(
    stated: list[object], tensors: tuple[Tensor, ...], kind: str, ordered: bool
) -> tuple[End, ...]:
    if len(stated) != len(tensors):
        raise ValueError(f"ends: expected {len(tensors)} {kind}s, found {len(stated)}")
    ends: list[End] = []
    for entry, tensor in zip(stated, tensors, strict=True):
        where = f"{kind} {tensor.name!r}"
        optional = {"order": list} if ordered else {}
        end = entries(entry, where, {"name": str, "shape": list}, optional)
        shape = whole_numbers(end["shape"], f"{where}: its shape")
        if kind == "input" and any(end["name"] == other.name for other in ends):
            raise ValueError(f"{where}: {end['name']!r:.100} is there twice")
        if "order" in end:
            order = whole_numbers(end["order"], f"{where}: its order")
            _check_order(order, shape, tensor, where)
            ends.append(End(end["name"], shape, np.array(order, np.intp).reshape(shape)))
        else:
            _check_shape(shape, tensor, where)
            ends.append(End(end["name"], shape))
    return tuple(ends)


def _check_shape(shape: tuple[int, ...], tensor: Tensor, where: str) -> None:
    """(channels), (channels, width) or (channels, height, width), as the tensor has them."""
    height, width, channels = tensor.shape
    same = shape == (channels, height, width)
    flat = shape == (channels, width) and height == 1
    if not (same or flat or (shape == (channels,) and (height, width) == (1, 1))):
        raise ValueError(f"{where}: is {tensor.shape} in the graph, and {shape} at the end")


def _check_order(
    order: tuple[int, ...], shape: tuple[int, ...], tensor: Tensor, where: str
) -> None:
    """Any of a vector's numbers, each at most once."""
    count = tensor.shape.floats
    if min(shape, default=1) < 1 or len(shape) > 8 or math.prod(shape) != len(order):
        raise ValueError(f"{where}: expected as many numbers in its order as its shape {shape} has")
    if min(order) < 0 or max(order) >= count or len(set(order)) != len(order):
        raise ValueError(f"{where}: its order names others than {count} numbers, or one twice")
