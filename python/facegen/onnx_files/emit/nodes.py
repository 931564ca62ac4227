"""What most layers are written by: one node, on tensors of a form."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from facegen.nn.graph import Node
from facegen.nn.window import WindowAxis
from facegen.onnx_files.emitter import MAP, VECTOR, Emitter


def one(e: Emitter, node: Node, op: str, **attributes: Any) -> None:
    """One node, which reads one tensor in the form that it has, and leaves it there."""
    form = e.form(node.inputs[0])
    e.know(node.name, form, e.emit(op, [e.value(node.inputs[0], form)], node.name, **attributes))


def on_map(e: Emitter, node: Node, op: str, *more: str, **attributes: Any) -> None:
    """One node on a map."""
    x = e.value(node.inputs[0], MAP)
    e.know(node.name, MAP, e.emit(op, [x, *more], node.name, **attributes))


def several(e: Emitter, node: Node, op: str, **attributes: Any) -> None:
    """One node on several tensors, of which none is a vector if one is a map."""
    forms = {e.form(name) for name in node.inputs}
    form = VECTOR if forms == {VECTOR} else MAP
    values = [e.value(name, form) for name in node.inputs]
    e.know(node.name, form, e.emit(op, values, node.name, **attributes))


def window_of(axes: Sequence[WindowAxis]) -> dict[str, list[int]]:
    """A window's attributes."""
    return {
        "kernel_shape": [axis.kernel for axis in axes],
        "strides": [axis.stride for axis in axes],
        "dilations": [axis.dilation for axis in axes],
        "pads": [axis.pad_front for axis in axes] + [axis.pad_back for axis in axes],
    }
