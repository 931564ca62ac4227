"""Activations that are not one node of the same name."""

from __future__ import annotations

from typing import Any

import numpy as np

from facegen.nn import (
    ELU,
    GELU,
    SELU,
    Clip,
    HardSigmoid,
    HardSwish,
    LeakyReLU,
    SiLU,
)
from facegen.nn.graph import Node
from facegen.onnx_files.emit.nodes import one
from facegen.onnx_files.emitter import MAP, Emitter


def leaky_relu(e: Emitter, node: Node) -> None:
    assert isinstance(node.layer, LeakyReLU)
    one(e, node, "LeakyRelu", alpha=node.layer.slope)


def prelu(e: Emitter, node: Node) -> None:
    form = e.form(node.inputs[0])
    (slope,) = e.weights(node)
    if form == MAP:
        axes = e.constant(f"{node.name}.axes", np.array([1, 2], np.int64))
        slope = e.emit("Unsqueeze", [slope, axes], f"{node.name}.slopes")
    y = e.emit("PRelu", [e.value(node.inputs[0], form), slope], node.name)
    e.know(node.name, form, y)


def clip(e: Emitter, node: Node) -> None:
    assert isinstance(node.layer, Clip)
    form = e.form(node.inputs[0])
    ends = []
    for name, bound in (("low", node.layer.low), ("high", node.layer.high)):
        stated = np.isfinite(bound)
        ends.append(e.constant(f"{node.name}.{name}", np.array(bound, "f4")) if stated else "")
    y = e.emit("Clip", [e.value(node.inputs[0], form), *ends], node.name)
    e.know(node.name, form, y)


def elu(e: Emitter, node: Node) -> None:
    """ONNX's Selu has any numbers."""
    assert isinstance(node.layer, ELU)
    alpha, scale = node.layer.numbers
    if scale == 1 and not isinstance(node.layer, SELU):
        one(e, node, "Elu", alpha=alpha)
    else:
        one(e, node, "Selu", alpha=alpha, gamma=scale)


def hard_sigmoid(e: Emitter, node: Node) -> None:
    assert isinstance(node.layer, HardSigmoid)
    one(e, node, "HardSigmoid", alpha=node.layer.alpha, beta=node.layer.beta)


def hard_swish(e: Emitter, node: Node) -> None:
    """ONNX's own has PyTorch's numbers; with others it is a product."""
    assert isinstance(node.layer, HardSwish)
    if node.layer == HardSwish():
        one(e, node, "HardSwish")
    else:
        alpha, beta = node.layer.numbers
        _gated(e, node, "HardSigmoid", alpha=alpha, beta=beta)


def silu(e: Emitter, node: Node) -> None:
    assert isinstance(node.layer, SiLU)
    _gated(e, node, "Sigmoid", factor=node.layer.alpha)


def sign(e: Emitter, node: Node) -> None:
    """ONNX's has 0 of 0: of that and a half, the sign is 1."""
    form = e.form(node.inputs[0])
    y = e.emit("Sign", [e.value(node.inputs[0], form)], f"{node.name}.of_three")
    half = e.constant(f"{node.name}.half", np.array(0.5, np.float32))
    y = e.emit("Add", [y, half], f"{node.name}.apart")
    e.know(node.name, form, e.emit("Sign", [y], node.name))


def _gated(e: Emitter, node: Node, op: str, factor: float = 1, **attributes: Any) -> None:
    """``x * op(factor * x)``."""
    form = e.form(node.inputs[0])
    x = y = e.value(node.inputs[0], form)
    if factor != 1:
        scale = e.constant(f"{node.name}.factor", np.array(factor, np.float32))
        y = e.emit("Mul", [x, scale], f"{node.name}.scaled")
    gate = e.emit(op, [y], f"{node.name}.gate", **attributes)
    e.know(node.name, form, e.emit("Mul", [x, gate], node.name))


def gelu(e: Emitter, node: Node) -> None:
    assert isinstance(node.layer, GELU)
    e.opset = max(e.opset, 20)
    one(e, node, "Gelu", approximate="tanh" if node.layer.tanh else "none")


def mish(e: Emitter, node: Node) -> None:
    e.opset = max(e.opset, 18)
    one(e, node, "Mish")
