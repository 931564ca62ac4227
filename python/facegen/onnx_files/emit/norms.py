"""Norms."""

from __future__ import annotations

from facegen.nn import BatchNorm, GroupNorm, InstanceNorm, LayerNorm, LocalResponseNorm
from facegen.nn.graph import Node
from facegen.onnx_files.emit.nodes import on_map
from facegen.onnx_files.emitter import MAP, Emitter


def batch_norm(e: Emitter, node: Node) -> None:
    assert isinstance(node.layer, BatchNorm)
    form = e.form(node.inputs[0])
    values = [e.value(node.inputs[0], form), *e.weights(node)]
    y = e.emit("BatchNormalization", values, node.name, epsilon=node.layer.eps)
    e.know(node.name, form, y)


def instance_norm(e: Emitter, node: Node) -> None:
    assert isinstance(node.layer, InstanceNorm)
    on_map(e, node, "InstanceNormalization", *e.weights(node), epsilon=node.layer.eps)


def layer_norm(e: Emitter, node: Node) -> None:
    """ONNX normalises the last axes: channels go there and back."""
    assert isinstance(node.layer, LayerNorm)
    x = e.value(node.inputs[0], MAP)
    x = e.emit("Transpose", [x], f"{node.name}.last", perm=[0, 2, 3, 1])
    operands = [x, *e.weights(node)]
    x = e.emit("LayerNormalization", operands, f"{node.name}.norm", axis=-1, epsilon=node.layer.eps)
    e.know(node.name, MAP, e.emit("Transpose", [x], node.name, perm=[0, 3, 1, 2]))


def group_norm(e: Emitter, node: Node) -> None:
    layer = node.layer
    assert isinstance(layer, GroupNorm)
    e.opset = max(e.opset, 21)  # the first with a number a channel
    attributes = {"num_groups": layer.groups, "epsilon": layer.eps}
    on_map(e, node, "GroupNormalization", *e.weights(node), **attributes)


def response_norm(e: Emitter, node: Node) -> None:
    layer = node.layer
    assert isinstance(layer, LocalResponseNorm)
    numbers = {"size": layer.size, "alpha": layer.alpha, "beta": layer.beta, "bias": layer.k}
    on_map(e, node, "LRN", **numbers)
