"""Damaged and hostile files of networks of any kind: ONNX, and saved graphs.

Valid files are changed in their bytes, or in one field of what they say: an operator, a name, an
attribute, a size, an end of an edge. A reader may return a network that can be lowered, or raise a
FacegenError of one line.
"""

from __future__ import annotations

import json
import os
from copy import deepcopy
from functools import cache
from typing import Any

import numpy as np
import onnx
from onnx import helper

from facegen.graphs import GraphNetwork, write
from facegen.networks.recognise import read_graph
from facegen.nn import lower
from facegen.nn.graph import Graph
from facegen.onnx_files.operators import OPERATORS
from facegen.onnx_files.write import to_model
from fuzzing._damage import EXTREMES, changed
from fuzzing.loaders import FOLDER, Case, try_one
from nn.graphs import dcgan_like, eccv16_like, fire_like, random_graph, unet_like
from random_weights import random_weights

Rng = np.random.Generator
FILES = 50  # of a round
# Lowering takes memory for an image; files whose maps are larger are only read.
MOST_FLOATS = 1 << 20


def one_round(rng: Rng) -> None:
    for _ in range(FILES):
        name, data = files()[rng.integers(len(files()))]
        if rng.random() < 0.3:
            data = changed(rng, data, [other for _, other in files()])
        elif name.endswith(".onnx"):
            data = changed_model(rng, data)
        else:
            data = changed_graph(rng, data)
        try_one(Case(name, b"", read), data)


def read(path: str) -> None:
    network = read_graph(path)
    if network is None:
        return  # weights alone: a file that has lost its graph
    if all(node.shape.floats <= MOST_FLOATS for node in network.graph.nodes):
        lower(network.graph, network.weights)


@cache
def files() -> list[tuple[str, bytes]]:
    graphs: list[Graph] = [dcgan_like(), eccv16_like(), fire_like(), unet_like()]
    graphs += [random_graph(seed) for seed in range(40)]
    found = []
    for graph in graphs:
        network = GraphNetwork.of(graph, random_weights(graph, np.random.default_rng(1)))
        if len({end.name for end in network.outputs}) < len(network.outputs):
            continue  # ONNX has no output twice
        found.append(("x.onnx", to_model(network).SerializeToString()))
        path = os.path.join(FOLDER.name, "x.safetensors")
        write(path, network)
        with open(path, "rb") as file:
            found.append(("x.safetensors", file.read()))
    return found


def number(rng: Rng) -> int:
    if rng.random() < 0.5:
        return int(rng.integers(-3, 12))
    return int(EXTREMES[rng.integers(len(EXTREMES))]) % 2**63


def changed_model(rng: Rng, data: bytes) -> bytes:
    """A few fields of an ONNX model become others."""
    model = onnx.load_model_from_string(data)
    for _ in range(rng.integers(1, 4)):
        change = CHANGES[rng.integers(len(CHANGES))]
        change(rng, model)
    return model.SerializeToString()


def pick(rng: Rng, values: Any) -> Any:
    return values[rng.integers(len(values))] if len(values) else None


def change_operator(rng: Rng, model: Any) -> None:
    if (node := pick(rng, model.graph.node)) is not None:
        node.op_type = pick(rng, [*OPERATORS, "Loop", "If", "", "Erf"])


def change_edge(rng: Rng, model: Any) -> None:
    """A node reads or makes something else."""
    node = pick(rng, model.graph.node)
    names = [name for each in model.graph.node for name in each.output]
    names += [each.name for each in (*model.graph.initializer, *model.graph.input)]
    if node is None:
        return
    ends = node.input if rng.random() < 0.8 else node.output
    if len(ends) and rng.random() < 0.8:
        ends[rng.integers(len(ends))] = pick(rng, [*names, ""])
    elif rng.random() < 0.5:
        ends.append(pick(rng, names))
    elif len(ends):
        ends.pop()


def change_attribute(rng: Rng, model: Any) -> None:
    node = pick(rng, [each for each in model.graph.node if len(each.attribute)])
    if node is None or rng.random() < 0.2:
        node = pick(rng, model.graph.node)
        if node is not None:
            names = ["axis", "group", "pads", "strides", "dilations", "mode", "ceil_mode", "alpha"]
            values = [number(rng), [number(rng) for _ in range(rng.integers(0, 6))], 0.5, "linear"]
            name, value = pick(rng, names), values[rng.integers(4)]
            if value != []:
                node.attribute.append(helper.make_attribute(name, value))
        return
    attribute = pick(rng, node.attribute)
    if attribute.ints and rng.random() < 0.8:
        attribute.ints[rng.integers(len(attribute.ints))] = number(rng)
    elif rng.random() < 0.3:
        node.attribute.remove(attribute)
    elif rng.random() < 0.5:
        attribute.i = number(rng)
    else:
        attribute.f = float(rng.choice([0, -1, 1e38, np.inf, np.nan]))


def change_tensor(rng: Rng, model: Any) -> None:
    """Another shape, type or data."""
    tensor = pick(rng, model.graph.initializer)
    if tensor is None:
        return
    kind = rng.integers(4)
    if kind == 0 and len(tensor.dims):
        tensor.dims[rng.integers(len(tensor.dims))] = number(rng)
    elif kind == 1:
        tensor.data_type = int(rng.integers(0, 24))
    elif kind == 2:
        tensor.raw_data = changed(rng, tensor.raw_data, [b"\xff" * 64])
    else:
        tensor.dims.append(int(rng.integers(0, 3)))


def change_end(rng: Rng, model: Any) -> None:
    """Another input or output: its shape, type or name."""
    end = pick(rng, [*model.graph.input, *model.graph.output])
    if end is None:
        return
    kind, shape = rng.integers(4), end.type.tensor_type.shape
    if kind < 2 and len(shape.dim):
        dim = shape.dim[rng.integers(len(shape.dim))]
        if rng.random() < 0.3:
            dim.dim_param = "any"
        else:
            dim.dim_value = number(rng)
    elif kind == 2:
        end.type.tensor_type.elem_type = int(rng.integers(0, 24))
    else:
        shape.dim.add().dim_value = number(rng)


def change_order(rng: Rng, model: Any) -> None:
    """A node stands elsewhere, twice, or no more."""
    nodes = list(model.graph.node)
    if not nodes:
        return
    index = int(rng.integers(len(nodes)))
    kind = rng.integers(3)
    if kind == 0:
        nodes.insert(int(rng.integers(len(nodes))), nodes.pop(index))
    elif kind == 1:
        nodes.pop(index)
    else:
        nodes.append(nodes[index])
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def change_opset(rng: Rng, model: Any) -> None:
    if len(model.opset_import):
        model.opset_import[0].version = int(rng.integers(1, 30))


CHANGES = (
    change_operator, change_edge, change_edge, change_attribute, change_attribute, change_tensor,
    change_tensor, change_end, change_order, change_opset,
)  # fmt: skip


def changed_graph(rng: Rng, data: bytes) -> bytes:
    """A few values of a saved graph's JSON become others; the file around it stays right."""
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    graph = json.loads(header["__metadata__"]["graph"])
    values: list[Any] = [None, True, 1.5, "x", "ReLU", [], {}, [1, 2], [[1, 0], [0, 1]]]
    for _ in range(rng.integers(1, 4)):
        place = graph
        while True:
            keys = list(place) if isinstance(place, dict) else list(range(len(place)))
            if not keys:
                break
            key = keys[rng.integers(len(keys))]
            if isinstance(place[key], (dict, list)) and place[key] and rng.random() < 0.9:
                place = place[key]
                continue
            place[key] = number(rng) if rng.random() < 0.5 else deepcopy(pick(rng, values))
            break
    header["__metadata__"]["graph"] = json.dumps(graph)
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data[8 + length :]
