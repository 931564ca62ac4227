"""The same layers over maps of another size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

from facegen.graphs.network import End, GraphNetwork
from facegen.nn import (
    Affine,
    GlobalAvgPool2d,
    Graph,
    MaxPool2d,
    Reshape,
    Shape,
    Slice,
    Tensor,
    Upsample,
)
from facegen.nn.graph import Node

FREE = (1, 2)  # the axes of (channels, height, width) whose sizes may differ


def resized_graph(graph: Graph, shapes: Sequence[Shape]) -> Graph:
    """A graph with inputs of these shapes.

    Raises
    ------
    ValueError
        A layer is for one size alone: it reshapes a map, resizes to a fixed size, pools or sums a
        whole map of the old size, or does not fit.
    """
    resized = Graph(graph.name)
    before = {node.name: node for node in graph.nodes}
    changed: set[str] = set()  # of another size, or means of what is
    tensors: dict[str, Tensor] = {}
    new = iter(shapes)
    for node in graph.nodes:
        if node.layer is None:
            tensors[node.name] = resized.input(node.name, next(new))
            if tensors[node.name].shape != node.shape:
                changed.add(node.name)
            continue
        inputs = [tensors[name] for name in node.inputs]
        if _is_fixed(node, before) and changed.intersection(node.inputs):
            kind = type(node.layer).__name__
            raise ValueError(f"layer {node.name!r} ({kind}) is for maps of one size alone")
        tensors[node.name] = resized.add(node.name, node.layer, *inputs)
        pooled = isinstance(node.layer, GlobalAvgPool2d)
        if changed.intersection(node.inputs) and (pooled or tensors[node.name].shape != node.shape):
            changed.add(node.name)
    for tensor in graph.outputs:
        resized.output(tensors[tensor.name])
    if resized.parameters != graph.parameters:
        raise ValueError(f"the layers of {graph.name} have other weights at another size")
    return resized


def _is_fixed(node: Node, before: Mapping[str, Node]) -> bool:
    """Whether a layer, in the graph of these nodes, is for maps of one size alone.

    So are a pool over the whole map, and the mean of one times its pixels, which is their sum:
    over other maps they are something else.
    """
    layer, source = node.layer, before[node.inputs[0]]
    if isinstance(layer, Upsample):
        return layer.size is not None
    if isinstance(layer, MaxPool2d):
        window = tuple(axis.kernel for axis in layer.axes)
        return window == source.shape[:2] != (1, 1)
    if isinstance(layer, Affine) and isinstance(source.layer, GlobalAvgPool2d):
        height, width, _ = before[source.inputs[0]].shape
        return layer.scale == height * width != 1
    return isinstance(layer, Reshape | Slice)


def for_any_size(network: GraphNetwork) -> GraphNetwork:
    """The network, also for maps of other heights and widths, where its layers are.

    Raises
    ------
    ValueError
        It has no input that is a map, or a layer that is for one size alone.
    """
    inputs = [replace(e, free=FREE if len(e.shape) == 3 else ()) for e in network.inputs]
    if not any(end.free for end in inputs):
        raise ValueError("it has no input (n, channels, height, width)")
    larger = [(e.shape[0], 2 * e.shape[1], 2 * e.shape[2]) if e.free else e.shape for e in inputs]
    resized(network, larger)
    return replace(network, inputs=tuple(inputs), at=partial(resized, network))


def resized(network: GraphNetwork, shapes: Sequence[tuple[int, ...]]) -> GraphNetwork:
    """A network for inputs of these shapes, (channels, height, width) each.

    Raises
    ------
    ValueError
        As for `resized_graph`; or an output's numbers lie in an order of one size alone.
    """
    graph = resized_graph(network.graph, [_map(shape) for shape in shapes])
    outputs = []
    for end, tensor in zip(network.outputs, graph.outputs, strict=True):
        if end.order is not None:
            raise ValueError(f"output {end.name!r} is for maps of one size alone")
        height, width, channels = tensor.shape
        shape = End.of(tensor).shape if len(end.shape) == 1 else (channels, height, width)
        if len(end.shape) == 2 and height == 1:  # a row
            shape = channels, width
        outputs.append(replace(end, shape=shape))
    inputs = [replace(end, shape=shape) for end, shape in zip(network.inputs, shapes, strict=True)]
    return replace(network, graph=graph, inputs=tuple(inputs), outputs=tuple(outputs), at=None)


def _map(shape: tuple[int, ...]) -> Shape:
    channels, *sides = shape
    height, width = [1] * (2 - len(sides)) + sides
    return Shape(height, width, channels)
