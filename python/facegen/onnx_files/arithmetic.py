"""Operators on numbers: products, norms, activations, sums, and constants added or multiplied."""

from __future__ import annotations

import math
from functools import partial
from typing import NamedTuple

import numpy as np

from facegen.nn import (
    Add,
    Affine,
    ArgMax,
    BatchNorm,
    InstanceNorm,
    Layer,
    LeakyReLU,
    Linear,
    ReLU,
    Softmax,
    Tanh,
)
from facegen.onnx_files.node import Node, scalar
from facegen.onnx_files.value import Value


def gemm(node: Node) -> Value:
    if node.get("transA", 0):
        raise ValueError("it transposes the batch (transA)")
    weight = node.constant(1, "matrix B").astype(np.float32, copy=False)
    if not node.get("transB", 0):
        weight = weight.T
    bias = None
    if node.has(2):
        bias = np.float32(node.get("beta", 1.0)) * node.constant(2, "vector C").astype(np.float32)
    return _linear(node, np.float32(node.get("alpha", 1.0)) * weight, bias)


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
        weights["bias"] = np.broadcast_to(bias.reshape(-1), (out,))
    layer = Linear(value.shape[0], out, bias=bias is not None)
    return Value(node.add(layer, tensor, **weights), (out,))


def by_element(layer: Layer, node: Node) -> Value:
    """A layer for which the order of the floats is all the same."""
    x = node.value()
    return Value(node.add(layer, x.tensor), x.shape, x.order)


def leaky_relu(node: Node) -> Value:
    return by_element(LeakyReLU(float(node.get("alpha", 0.01))), node)


def prelu(node: Node) -> Value:
    return by_element(LeakyReLU(scalar(node.constant(1, "slope"), "slope")), node)


def clip(node: Node) -> Value:
    bounds = [node.get("min", -math.inf), node.get("max", math.inf)]
    for i in (1, 2):
        if node.has(i):
            bounds[i - 1] = node.constant(i, "bound").item()
    if bounds[0] != 0 or bounds[1] < 3.4e38:
        raise ValueError(f"it clips to {bounds}, and layers here only from 0 on (ReLU)")
    return by_element(ReLU(), node)


def sigmoid(node: Node) -> Value:
    """``tanh(x / 2) / 2 + 1/2``."""
    x = node.value()
    half = node.draft.add(f"{node.name}.half", Affine(0.5), x.tensor)
    tanh = node.draft.add(f"{node.name}.tanh", Tanh(), half)
    return Value(node.add(Affine(0.5, 0.5), tanh), x.shape, x.order)


def softmax(node: Node) -> Value:
    x = node.value()
    rank = len(x.shape) + 1
    axis = node.axis(node.get("axis", -1 if node.opset >= 13 else 1), rank)
    if len(x.shape) == 1 or (node.opset < 13 and axis == 1):  # the old one is over all that follow
        tensor, order = node.draft.as_vector(x)
        return Value(node.add(Softmax(), tensor), x.shape, order.reshape(x.shape))
    if axis != 1 or node.opset < 13:
        raise ValueError(f"its axis is {axis}, and layers here have softmax over channels, axis 1")
    return Value(node.add(Softmax(), node.draft.as_map(x)), x.shape)


def arg_max(node: Node) -> Value:
    """Indices come as float32, as all numbers of our graph."""
    x = node.map_of()
    if node.axis(node.get("axis", 0), 4) != 1 or node.get("select_last_index", 0):
        raise ValueError("expected the first largest channel (axis 1)")
    y = Value(node.add(ArgMax(), x), (1, *x.shape[:2]))
    return y if node.get("keepdims", 1) else y.viewed(y.positions[0])


def batch_normalization(node: Node) -> Value:
    if node.get("training_mode", 0) or not node.get("spatial", 1):
        raise ValueError("it is one of training, or not of channels: export the network for use")
    names = {"gamma": "scale", "beta": "B", "mean": "mean", "var": "var"}
    weights = {name: node.constant(i, names[name]) for i, name in enumerate(names, 1)}
    return _per_channel(node, node.value(), float(node.get("epsilon", 1e-5)), weights)


def instance_normalization(node: Node) -> Value:
    x = node.map_of()
    layer = InstanceNorm(x.shape.channels, float(node.get("epsilon", 1e-5)))
    weights = {"gamma": node.constant(1, "scale"), "beta": node.constant(2, "B")}
    return Value(node.add(layer, x, **weights), node.value().shape)


def _per_channel(node: Node, x: Value, eps: float, weights: dict[str, np.ndarray]) -> Value:
    """A batch norm, also of a vector that lies in another order."""
    if len(x.shape) > 1:
        tensor = node.draft.as_map(x)
        layer = BatchNorm(tensor.shape.channels, eps)
        return Value(node.add(layer, tensor, **weights), x.shape)
    tensor, order = node.draft.as_vector(x)
    if any(each.shape != x.shape for each in weights.values()):
        raise ValueError(f"expected {x.shape[0]} numbers of each kind for its channels")
    moved = {name: np.empty_like(each) for name, each in weights.items()}
    for name, each in weights.items():
        moved[name][order] = each
    y = node.add(BatchNorm(x.shape[0], eps), tensor, **moved)
    return Value(y, x.shape, order).viewed(order)


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
    if first or not c.all():
        raise ValueError("it divides by what is computed, or by zero: no layer here does")
    return Line(1 / c, zero)


def arithmetic(node: Node) -> Value:
    """Add, Sub, Mul, Div with a constant, a number or one a channel; Add of two maps."""
    a, b = node.inputs
    if isinstance(a, Value) and isinstance(b, Value):
        if node.op != "Add":
            raise ValueError("both inputs are computed; layers here only add such")
        return total(node)
    first = isinstance(a, np.ndarray)
    x = node.value(1 if first else 0)
    c = node.constant(0 if first else 1, "other input").astype(np.float64)
    line = _line(node.op, c, first)
    if c.size == 1 and c.ndim <= len(x.shape) + 1:
        return _affine(node, x, line.scale.item(), line.shift.item())
    wide = (1,) * (len(x.shape) + 1 - c.ndim) + c.shape
    if wide != (1, x.shape[0], *[1] * (len(x.shape) - 1)):
        raise ValueError(
            f"its constant is of shape {c.shape}, expected one number, or one for each of "
            f"{x.shape[0]} channels"
        )
    gamma, beta = line.scale.ravel(), line.shift.ravel()
    stay = {"mean": np.zeros_like(gamma), "var": np.ones_like(gamma)}
    return _per_channel(node, x, 0.0, {"gamma": gamma, "beta": beta, **stay})


def _affine(node: Node, x: Value, scale: float, shift: float) -> Value:
    """``scale * x + shift``; two of them, one after the other, are one."""
    tensor, before = x.tensor, node.draft.layer(x.tensor.name)
    if isinstance(before, Affine):
        tensor = node.draft.source(tensor.name)
        scale, shift = scale * before.scale, scale * before.shift + shift
    return Value(node.add(Affine(scale, shift), tensor), x.shape, x.order)


def total(node: Node) -> Value:
    """The sum of maps of one shape."""
    values = [node.value(i) for i in range(len(node.inputs))]
    result = values[0]
    for other in values[1:]:
        if result.shape != other.shape:
            raise ValueError(
                f"its inputs are {result.shape} and {other.shape} an image, expected equal shapes"
            )
        alike = result.tensor.shape == other.tensor.shape
        if alike and np.array_equal(result.positions, other.positions):
            tensor = node.add(Add(), result.tensor, other.tensor)
            result = Value(tensor, result.shape, result.order)
        else:
            pair = node.draft.as_map(result), node.draft.as_map(other)
            result = Value(node.add(Add(), *pair), result.shape)
    return result


relu = partial(by_element, ReLU())
tanh = partial(by_element, Tanh())
