"""A graph as its peers want it: NCHW, weights in their layouts, batch norm folded.

Every peer reads this one list of nodes, so a network needs no code of its own here. Folding batch
norm into the layer before it is what the peers' own converters do; doing it here spares a peer
that does not. A batch norm that follows an activation stays a layer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from facegen.nn import BatchNorm, Conv2d, ConvTranspose2d, Graph, Linear, MaxPool2d, Reshape, Shape
from facegen.nn.layer import Layer


@dataclass(frozen=True)
class PlainReshape(Layer):
    """A reshape of (n, c, h, w) in memory order; facegen's Reshape is one of (n, h, w, c)."""

    shape: Shape


@dataclass(frozen=True)
class Node:
    """A layer in its place; `layer` is None for an input.

    Weights are conv2d (out, in, kh, kw), conv_transpose2d (in, out, kh, kw), linear (out, in).
    """

    name: str
    layer: Layer | None
    inputs: tuple[str, ...]
    shape: Shape
    weights: dict[str, np.ndarray]


@dataclass(frozen=True)
class Network:
    """Nodes in order of computation and the names of those that are outputs."""

    name: str
    nodes: tuple[Node, ...]
    outputs: tuple[str, ...]

    @property
    def inputs(self) -> tuple[Node, ...]:
        return tuple(node for node in self.nodes if node.layer is None)

    def input_shape(self, node: Node) -> Shape:
        """Shape of the (first) tensor that `node` reads."""
        return next(other.shape for other in self.nodes if other.name == node.inputs[0])


def nchw_network(graph: Graph, weights: Mapping[str, np.ndarray], fold: bool = True) -> Network:
    """`graph` with its weights as NCHW nodes, batch norm folded where that is exact.

    For training nothing is folded.
    """
    nodes = {
        node.name: Node(
            node.name,
            node.layer,
            node.inputs,
            node.shape,
            {
                parameter: np.asarray(weights[f"{node.name}.{parameter}"], np.float64)
                for parameter in (node.layer.parameters() if node.layer else ())
            },
        )
        for node in graph.nodes
    }
    outputs = [tensor.name for tensor in graph.outputs]
    for node in list(nodes.values()):
        if fold and isinstance(node.layer, BatchNorm):
            _fold(node, nodes, outputs)
    for node in list(nodes.values()):
        if isinstance(node.layer, Reshape):
            _reorder_rows(node, nodes, outputs)
            _reorder_columns(node, nodes, outputs)
    return Network(
        graph.name,
        tuple(replace(node, weights=_peer_weights(node)) for node in nodes.values()),
        tuple(outputs),
    )


def max_pool_padding(layer: MaxPool2d, x: Shape, y: Shape) -> tuple[tuple[int, int], ...]:
    """Padding ((top, bottom), (left, right)) with which floor mode gives the output `y`."""
    return tuple(
        (axis.pad_front, max((out - 1) * axis.stride + axis.kernel - size - axis.pad_front, 0))
        for axis, size, out in zip(layer.axes, x[:2], y[:2], strict=True)
    )


def _sole_source(node: Node, nodes: dict[str, Node], outputs: list[str]) -> Node | None:
    """The node that `node` reads, if nothing else reads it."""
    readers = Counter([name for other in nodes.values() for name in other.inputs] + outputs)
    source = node.inputs[0]
    return nodes[source] if readers[source] == 1 else None


def _fold(norm: Node, nodes: dict[str, Node], outputs: list[str]) -> None:
    """Folds a batch norm into the layer before it, also through the reshape of a vector."""
    assert isinstance(norm.layer, BatchNorm)
    source = _sole_source(norm, nodes, outputs)
    repeats = 1
    if source is not None and isinstance(source.layer, Reshape):
        repeats = source.shape.height * source.shape.width
        source = _sole_source(source, nodes, outputs)
        if source is None or source.shape[:2] != (1, 1):
            return
    if source is None or not isinstance(source.layer, Conv2d | ConvTranspose2d | Linear):
        return
    w = norm.weights
    scale = w["gamma"] / np.sqrt(w["var"] + norm.layer.eps)
    shift = np.tile(w["beta"] - w["mean"] * scale, repeats)
    scale = np.tile(scale, repeats)
    weight, bias = source.weights["weight"], source.weights.get("bias", 0.0)
    folded = weight * scale.reshape(-1, *[1] * (weight.ndim - 1))
    nodes[source.name] = replace(
        source,
        layer=replace(source.layer, bias=True),
        weights={"weight": folded, "bias": bias * scale + shift},
    )
    del nodes[norm.name]
    for other in list(nodes.values()):
        inputs = tuple(norm.inputs[0] if name == norm.name else name for name in other.inputs)
        nodes[other.name] = replace(other, inputs=inputs)
    outputs[:] = [norm.inputs[0] if name == norm.name else name for name in outputs]


def _reorder_rows(node: Node, nodes: dict[str, Node], outputs: list[str]) -> None:
    """A linear layer read as a map: its rows in (c, h, w) order make the reshape a plain one."""
    source = _sole_source(node, nodes, outputs)
    if source is None or not isinstance(source.layer, Linear) or source.shape[:2] != (1, 1):
        return
    rows = np.arange(node.shape.floats).reshape(node.shape).transpose(2, 0, 1).ravel()
    reordered = {name: array[rows] for name, array in source.weights.items()}
    nodes[source.name] = replace(source, weights=reordered)
    nodes[node.name] = replace(node, layer=PlainReshape(node.shape))


def _reorder_columns(node: Node, nodes: dict[str, Node], outputs: list[str]) -> None:
    """A map read as a vector by linear layers: their columns in (c, h, w) order do the same."""
    readers = [other for other in nodes.values() if node.name in other.inputs]
    linear = all(isinstance(reader.layer, Linear) for reader in readers)
    if node.shape[:2] != (1, 1) or node.name in outputs or not linear:
        return
    source = nodes[node.inputs[0]].shape
    columns = np.arange(source.floats).reshape(source).transpose(2, 0, 1).ravel()
    for reader in readers:
        reordered = {**reader.weights, "weight": reader.weights["weight"][:, columns]}
        nodes[reader.name] = replace(reader, weights=reordered)
    nodes[node.name] = replace(node, layer=PlainReshape(node.shape))


def _peer_weights(node: Node) -> dict[str, np.ndarray]:
    result = dict(node.weights)
    if isinstance(node.layer, Conv2d):
        result["weight"] = result["weight"].transpose(0, 3, 1, 2)
    elif isinstance(node.layer, ConvTranspose2d):
        groups = np.split(result["weight"], node.layer.groups)
        result["weight"] = np.concatenate([part.transpose(3, 0, 1, 2) for part in groups])
    return {name: np.ascontiguousarray(array, np.float32) for name, array in result.items()}
