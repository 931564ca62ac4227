"""Whether two graphs compute the same, whatever their layers without weights are called."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np

from facegen.nn import Graph, Layer, MaxPool2d, Reshape, Upsample


def same_computation(a: Graph, b: Graph) -> bool:
    """Equal layers that read from equal places; of layers with parameters the names too.

    Numbers are compared as float32, which is what ONNX files have of them.
    """
    return _described(a) == _described(b)


def _described(graph: Graph) -> list[Any]:
    places = {node.name: i for i, node in enumerate(graph.nodes)}
    nodes = [
        (
            node.shape,
            None if node.layer is None else _numbers(node.layer),
            node.name if node.layer is not None and node.layer.parameters() else None,
            [places[name] for name in node.inputs],
        )
        for node in graph.nodes
    ]
    return [nodes, [places[tensor.name] for tensor in graph.outputs]]


def _numbers(layer: Layer) -> list[Any]:
    """A layer's kind and fields; its window as the axes that follow from them."""
    axes: Any = getattr(layer, "axes", None)
    if isinstance(layer, MaxPool2d):  # what is behind the map takes no part
        axes = [(a.kernel, a.stride, a.pad_front, a.dilation) for a in layer.axes]
    derived = _DERIVED.get(type(layer), _WINDOW if axes is not None else set())
    names = [each.name for each in fields(layer) if each.name not in derived]  # type: ignore[arg-type]
    plain = [_plain(getattr(layer, name)) for name in names]
    if isinstance(layer, Upsample):  # coordinates that are left out follow from the mode
        plain.append(layer.placed_by)
    return [type(layer).__name__, *plain, axes]


_WINDOW = {"kernel", "stride", "padding", "dilation", "ceil_mode"}  # which the axes say
_DERIVED = {  # which the output's shape says, or `placed_by`
    Reshape: {"shape"},
    Upsample: {"size", "scale", "coordinates"},
}


def _plain(value: Any) -> Any:
    """A number as float32, one for both axes as two, a list as a tuple."""
    if isinstance(value, float):
        value = float(np.float32(value))
    if type(value) in (int, float):
        return (value, value)
    return tuple(value) if isinstance(value, list) else value
