"""Products and sums with numbers, and the largest channel."""

from __future__ import annotations

import numpy as np

from facegen.nn import Affine
from facegen.nn.graph import Node
from facegen.onnx_files.emitter import MAP, Emitter


def affine(e: Emitter, node: Node) -> None:
    """A product and a sum; one alone where the other changes nothing."""
    assert isinstance(node.layer, Affine)
    scale, shift = (np.array(v, np.float32) for v in (node.layer.scale, node.layer.shift))
    form = e.form(node.inputs[0])
    x = e.value(node.inputs[0], form)
    if scale != 1 or shift == 0:
        name = node.name if shift == 0 else f"{node.name}.scaled"
        x = e.emit("Mul", [x, e.constant(f"{node.name}.scale", scale)], name)
    if shift != 0:
        x = e.emit("Add", [x, e.constant(f"{node.name}.shift", shift)], node.name)
    e.know(node.name, form, x)


def arg_max(e: Emitter, node: Node) -> None:
    """Indices are integers in ONNX, and float32 in our graphs."""
    from onnx import TensorProto

    x = e.value(node.inputs[0], MAP)
    best = e.emit("ArgMax", [x], f"{node.name}.index", axis=1, keepdims=1)
    e.know(node.name, MAP, e.emit("Cast", [best], node.name, to=TensorProto.FLOAT))
