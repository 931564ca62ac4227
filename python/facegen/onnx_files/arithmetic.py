"""Operators on numbers: products, norms, sums, and constants added or multiplied."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from facegen.nn import (
    Add,
    Affine,
    ArgMax,
    Clip,
    Div,
    Layer,
    Linear,
    LogSoftmax,
    Maximum,
    Minimum,
    Mul,
    Reciprocal,
    Softmax,
    Sqrt,
    Sub,
)
from facegen.nn.layers import Combination
from facegen.onnx_files.activations import applied, gate
from facegen.onnx_files.channels import batch_norm, check_per_channel
from facegen.onnx_files.node import Node, are_signs, scalar
from facegen.onnx_files.value import Value


def gemm(node: Node) -> Value:
    if node.get("transA", 0):
        raise ValueError("it transposes the batch (transA)")
    weight = node.numbers(1, "matrix B")
    if not node.get("transB", 0):
        weight = weight.T
    bias = None
    if node.has(2):
        bias = float(node.get("beta", 1.0)) * node.numbers(2, "vector C")
    return _linear(node, float(node.get("alpha", 1.0)) * weight, bias)


def mat_mul(node: Node) -> Value:
    return _linear(node, node.constant(1, "matrix B").T, None)


def _linear(node: Node, weight: np.ndarray, bias: np.ndarray | None) -> Value:
    """A vector times `weight` (out, in)."""
    value = node.value()
    if len(value.shape) != 1 or weight.ndim != 2 or weight.shape[1:] != value.shape:
        raise ValueError(
            f"expected vectors (n, {weight.shape[-1]}), found (n, {str(value.shape)[1:-1]}): "
            "matrices of a batch are multiplied by none of the layers here"
        )
    tensor, order = node.draft.as_vector(value)
    columns = np.empty_like(weight)
    columns[:, order] = weight
    out = len(weight)
    weights = {"weight": columns}
    if bias is not None:
        if bias.shape not in ((), (1,), (1, 1), (out,), (1, out)):
            raise ValueError(
                f"its vector C is of shape {bias.shape}, expected one number, or one for each of "
                f"{out} outputs"
            )
        weights["bias"] = np.broadcast_to(bias.reshape(-1), (out,))
    layer = Linear(value.shape[0], out, bias=bias is not None, binary=are_signs(weight))
    return Value(node.add(layer, tensor, **weights), (out,))


def softmax(node: Node) -> Value:
    return _over_channels(node, Softmax())


def log_softmax(node: Node) -> Value:
    return _over_channels(node, LogSoftmax())


def _over_channels(node: Node, layer: Layer) -> Value:
    x = node.value()
    rank = len(x.shape) + 1
    axis = node.axis(node.get("axis", -1 if node.opset >= 13 else 1), rank)
    if len(x.shape) == 1 or (node.opset < 13 and axis == 1):  # the old one is over all that follow
        tensor, order = node.draft.as_vector(x)
        return Value(node.add(layer, tensor), x.shape, order.reshape(x.shape))
    if axis != 1 or node.opset < 13:
        raise ValueError(f"its axis is {axis}, and layers here have softmax over channels, axis 1")
    return Value(node.add(layer, node.draft.as_map(x)), x.shape)


def arg_max(node: Node) -> Value:
    """Indices come as float32, as all numbers of our graph."""
    x = node.value()
    if node.axis(node.get("axis", 0), len(x.shape) + 1) != 1 or node.get("select_last_index", 0):
        raise ValueError("expected the first largest channel (axis 1)")
    y = Value(node.add(ArgMax(), node.draft.as_map(x)), (1, *x.shape[1:]))
    return y if node.get("keepdims", 1) else y.viewed(y.positions[0])


def batch_normalization(node: Node) -> Value:
    if node.get("training_mode", 0) or not node.get("spatial", 1):
        raise ValueError("it is one of training, or not of channels: export the network for use")
    names = {"gamma": "scale", "beta": "B", "mean": "mean", "var": "var"}
    weights = {name: node.constant(i, names[name]) for i, name in enumerate(names, 1)}
    return batch_norm(node, node.value(), float(node.get("epsilon", 1e-5)), weights)


class Line(NamedTuple):
    """What a constant c makes of x: ``scale * x + shift``."""

    scale: np.ndarray
    shift: np.ndarray


def _line(op: str, c: np.ndarray, first: bool) -> Line:
    """Of ``x op c``, or ``c op x`` where the constant comes first."""
    one, zero = np.ones_like(c), np.zeros_like(c)
    if op == "Add":
        return Line(one, c)
    if op == "Sub":
        return Line(-one, c) if first else Line(one, -c)
    if op == "Mul":
        return Line(c, zero)
    if not c.all():
        raise ValueError("it divides by zero")
    return Line(1 / c, zero)


def arithmetic(node: Node) -> Value:
    """Add, Sub, Mul, Div of two maps, or with a constant: a number, or one a channel."""
    a, b = node.inputs
    if isinstance(a, Value) and isinstance(b, Value):
        gated = gate(node, a, b) if node.op == "Mul" else None
        return combined(node, _COMBINATIONS[node.op], a, b) if gated is None else gated
    first = isinstance(a, np.ndarray)
    x = node.value(1 if first else 0)
    c = node.numbers(0 if first else 1, "other input")
    if node.op == "Div" and first:
        x = applied(node, Reciprocal(), x)
    line = _line("Mul" if node.op == "Div" and first else node.op, c, first)
    if c.size == 1 and c.ndim <= len(x.shape) + 1:
        return _affine(node, x, line.scale.item(), line.shift.item())
    check_per_channel(c, x, "constant")
    gamma, beta = line.scale.ravel(), line.shift.ravel()
    stay = {"mean": np.zeros_like(gamma), "var": np.ones_like(gamma)}
    return batch_norm(node, x, 0.0, {"gamma": gamma, "beta": beta, **stay})


def _affine(node: Node, x: Value, scale: float, shift: float) -> Value:
    """``scale * x + shift``; two of them, one after the other, are one."""
    tensor, before = x.tensor, node.draft.layer(x.tensor.name)
    if isinstance(before, Affine):
        tensor = node.draft.source(tensor.name)
        scale, shift = scale * before.scale, scale * before.shift + shift
    if (scale, shift) != (1, 0):
        tensor = node.add(Affine(scale, shift), tensor)
    return Value(tensor, x.shape, x.order)


_COMBINATIONS: Mapping[str, Combination] = {
    "Add": Add(), "Sub": Sub(), "Mul": Mul(), "Div": Div(), "Max": Maximum(), "Min": Minimum(),
    "Sum": Add(),
}  # fmt: skip


def several(node: Node) -> Value:
    """Sum, Max or Min of any number of maps, of which one may be a number for Max and Min."""
    values = [each for each in node.inputs if isinstance(each, Value)]
    bounds = [each for each in node.inputs if isinstance(each, np.ndarray)]
    if not values or (bounds and node.op == "Sum"):
        raise ValueError("expected inputs that are computed, found constant ones")
    result = values[0]
    for other in values[1:]:
        result = combined(node, _COMBINATIONS[node.op], result, other)
    for bound in bounds:
        number = scalar(bound, "constant")
        layer = Clip(low=number) if node.op == "Max" else Clip(high=number)
        result = Value(node.add(layer, result.tensor), result.shape, result.order)
    return result


def mean(node: Node) -> Value:
    """The mean of several maps."""
    values = [node.value(i) for i in range(len(node.inputs))]
    result = values[0]
    for other in values[1:]:
        result = combined(node, Add(), result, other)
    return _affine(node, result, 1 / len(values), 0.0)


def power(node: Node) -> Value:
    """Of the powers that layers here compute."""
    x, exponent = node.value(), scalar(node.constant(1, "exponent"), "exponent")
    if exponent == 1:
        return x
    if exponent in (0.5, -1.0):
        layer = Sqrt() if exponent == 0.5 else Reciprocal()
        return applied(node, layer, x)
    if exponent not in (2, 3):
        raise ValueError(f"its exponent is {exponent:g}, and layers here have -1, 0.5, 2 and 3")
    result = x
    for _ in range(int(exponent) - 1):
        result = combined(node, Mul(), result, x)
    return result


def negative(node: Node) -> Value:
    return _affine(node, node.value(), -1.0, 0.0)


def combined(node: Node, layer: Combination, a: Value, b: Value) -> Value:
    """Two maps, or two vectors; either may have one pixel or one channel for all of the other."""
    if len(a.shape) != len(b.shape):
        raise ValueError(
            f"its inputs are {a.shape} and {b.shape} an image, expected as many dimensions"
        )
    if isinstance(layer, Div):  # which may make NaN of what the file left out
        a, b = node.draft.alone(a), node.draft.alone(b)
    alike = a.tensor.shape == b.tensor.shape and a.shape == b.shape
    if alike and np.array_equal(a.positions, b.positions):
        return Value(node.add(layer, a.tensor, b.tensor), a.shape, a.order)
    shape = np.broadcast_shapes(a.shape, b.shape)
    return Value(node.add(layer, node.draft.as_map(a), node.draft.as_map(b)), shape)
