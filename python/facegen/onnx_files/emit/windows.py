"""Layers with a window, and linear layers, which may be one."""

from __future__ import annotations

from typing import Any

import numpy as np

from facegen.nn import AvgPool2d, Conv2d, ConvTranspose2d, MaxPool2d
from facegen.nn.graph import Node
from facegen.nn.window import pair
from facegen.onnx_files.emit.nodes import on_map, window_of
from facegen.onnx_files.emitter import VECTOR, Emitter


def conv(e: Emitter, node: Node) -> None:
    assert isinstance(node.layer, Conv2d)
    groups = {"group": node.layer.groups} if node.layer.groups > 1 else {}
    weights = e.weights(node, lambda weight: weight.transpose(0, 3, 1, 2))
    on_map(e, node, "Conv", *weights, **window_of(node.layer.axes), **groups)


def conv_transpose(e: Emitter, node: Node) -> None:
    assert isinstance(node.layer, ConvTranspose2d)
    extra = pair(node.layer.output_padding, "output_padding", 0)
    window = window_of(node.layer.axes) | ({"output_padding": extra} if any(extra) else {})
    count = node.layer.groups
    groups = {"group": count} if count > 1 else {}

    def turn(weight: np.ndarray) -> np.ndarray:
        """Of each group (in, out, h, w): the groups' inputs follow one another."""
        return np.concatenate([part.transpose(3, 0, 1, 2) for part in np.split(weight, count)])

    on_map(e, node, "ConvTranspose", *e.weights(node, turn), **window, **groups)


def linear(e: Emitter, node: Node) -> None:
    if node.shape[:2] == (1, 1):
        x = e.value(node.inputs[0], VECTOR)
        e.know(node.name, VECTOR, e.emit("Gemm", [x, *e.weights(node)], node.name, transB=1))
        return
    weight, *bias = e.weights(node)
    axes = e.constant(f"{node.name}.axes", np.array([2, 3], np.int64))
    window = e.emit("Unsqueeze", [weight, axes], f"{node.name}.window")
    on_map(e, node, "Conv", window, *bias)


def max_pool(e: Emitter, node: Node) -> None:
    """Borders such that the windows are those of the layer without ONNX's own ceil_mode.

    Which windows count in ceil_mode was settled in opset 22 alone.
    """
    assert isinstance(node.layer, MaxPool2d)
    axes, x = node.layer.axes, e.shapes[node.inputs[0]]
    behind = [
        max(0, (outputs - 1) * axis.stride + axis.reach - size - axis.pad_front)
        for axis, outputs, size in zip(axes, node.shape, x, strict=False)
    ]
    attributes = window_of(axes) | {"pads": [axis.pad_front for axis in axes] + behind}
    del attributes["dilations"]
    on_map(e, node, "MaxPool", **attributes)


def avg_pool(e: Emitter, node: Node) -> None:
    layer = node.layer
    assert isinstance(layer, AvgPool2d)
    attributes: dict[str, Any] = {**window_of(layer.axes)}
    del attributes["dilations"]
    if layer.ceil_mode:
        e.opset = max(e.opset, 22)  # the first that says which windows count
        attributes["ceil_mode"] = 1
    on_map(e, node, "AveragePool", **attributes, count_include_pad=int(layer.count_include_pad))
