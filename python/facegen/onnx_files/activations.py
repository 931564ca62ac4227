"""Operators that are functions of one number, and the products that are such."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from facegen.nn import (
    ELU,
    GELU,
    SELU,
    Abs,
    Affine,
    Clip,
    Div,
    Exp,
    HardSigmoid,
    HardSwish,
    Layer,
    LeakyReLU,
    Log,
    Mish,
    PReLU,
    Reciprocal,
    ReLU,
    Sigmoid,
    Sign,
    SiLU,
    Softplus,
    Sqrt,
    Sub,
    Tanh,
    Tensor,
)
from facegen.onnx_files.channels import check_per_channel, per_channel
from facegen.onnx_files.node import Node, scalar
from facegen.onnx_files.value import Value


@dataclass(frozen=True)
class Erf(Layer):
    """The error function, which no engine has: it stands for itself until `gate` finds a GELU."""


# What they make of floats that the file left out, inf or NaN, times a weight of 0 would be NaN.
_MAY_OVERFLOW = (Exp, Log, Reciprocal, Sqrt)
_LARGEST = 3.4e38  # about the largest float32, which stands for no bound


def by_element(layer: Layer, node: Node) -> Value:
    """A layer for which the order of the floats is all the same."""
    return applied(node, layer, node.value())


def by_map(node: Node, layer: Layer, **weights: np.ndarray) -> Value:
    """A layer that leaves a map, a row or a vector of the shape that it has."""
    x = node.value()
    return Value(node.add(layer, node.draft.as_map(x), **weights), x.shape)


def applied(node: Node, layer: Layer, x: Value) -> Value:
    if isinstance(layer, _MAY_OVERFLOW):
        x = node.draft.alone(x)
    return Value(node.add(layer, x.tensor), x.shape, x.order)


def leaky_relu(node: Node) -> Value:
    return by_element(LeakyReLU(float(node.get("alpha", 0.01))), node)


def prelu(node: Node) -> Value:
    """One slope for all numbers, or one a channel."""
    x, slope = node.value(), node.constant(1, "slope")
    if slope.size == 1 and x.shape[0] > 1:
        return applied(node, LeakyReLU(scalar(slope, "slope")), x)
    check_per_channel(slope, x, "slope")
    return per_channel(node, x, PReLU(x.shape[0]), {"slope": slope.ravel()})


def clip(node: Node) -> Value:
    bounds = [node.get("min", -math.inf), node.get("max", math.inf)]
    for i in (1, 2):
        if node.has(i):
            bounds[i - 1] = scalar(node.constant(i, "bound"), "bound", finite=False)
    low, high = (math.copysign(math.inf, b) if abs(b) >= _LARGEST else float(b) for b in bounds)
    if (low, high) == (0, math.inf):
        return by_element(ReLU(), node)
    return by_element(Clip(low, high), node)


def elu(node: Node) -> Value:
    return by_element(ELU(float(node.get("alpha", 1.0))), node)


def selu(node: Node) -> Value:
    alpha, gamma = SELU().numbers
    return by_element(SELU(float(node.get("alpha", alpha)), float(node.get("gamma", gamma))), node)


def celu(node: Node) -> Value:
    """``alpha * elu(x / alpha)``."""
    x, alpha = node.value(), float(node.get("alpha", 1.0))
    if not alpha:
        raise ValueError("its alpha is 0")
    return applied(node, ELU(1.0, alpha), applied(node, Affine(1 / alpha), x))


def hard_sigmoid(node: Node) -> Value:
    alpha, beta = float(node.get("alpha", 0.2)), float(node.get("beta", 0.5))
    return by_element(HardSigmoid(alpha, beta), node)


def swish(node: Node) -> Value:
    return by_element(SiLU(float(node.get("alpha", 1.0))), node)


def gelu(node: Node) -> Value:
    approximate = node.get("approximate", "none")
    if approximate not in ("none", "tanh"):
        raise ValueError(f"its approximation is {approximate!r:.40}, expected none or tanh")
    return by_element(GELU(approximate == "tanh"), node)


def softsign(node: Node) -> Value:
    """``x / (1 + |x|)``."""
    x = node.value()
    size = applied(node, Affine(1.0, 1.0), applied(node, Abs(), x))
    return Value(node.add(Div(), x.tensor, size.tensor), x.shape, x.order)


def sign(node: Node) -> Value:
    """-1, 0 or 1: half of what our signs of x and of -x, which have 1 of 0, are apart.

    Where there cannot be a 0, as behind a sign and a half, it is our sign.
    """
    x = node.value()
    origin = _signed(node, x.tensor)
    if origin is not None:
        return Value(node.add(Sign(), origin), x.shape, x.order)
    signs = [applied(node, Sign(), each) for each in (x, applied(node, Affine(-1.0), x))]
    apart = node.add(Sub(), *(each.tensor for each in signs))
    return Value(node.add(Affine(0.5), apart), x.shape, x.order)


def _signed(node: Node, tensor: Tensor) -> Tensor | None:
    """x, where the tensor is ``sign(x) + shift`` as `sign` reads it, and positive for x = 0."""
    draft = node.draft
    line = draft.layer(tensor.name)
    if not isinstance(line, Affine) or line.scale != 0.5 or not 0 < line.shift < 1:
        return None
    apart = draft.source(tensor.name)
    if not isinstance(draft.layer(apart.name), Sub):
        return None
    one, other = draft.sources(apart.name)
    if not all(isinstance(draft.layer(each.name), Sign) for each in (one, other)):
        return None
    x, opposite = draft.source(one.name), draft.source(other.name)
    if draft.layer(opposite.name) != Affine(-1.0) or draft.source(opposite.name) != x:
        return None
    return x


def gate(node: Node, a: Value, b: Value) -> Value | None:
    """``x * f(x)`` as one layer, where there is one: swish, hard swish, mish; else None."""
    if a.tensor.shape != b.tensor.shape or not np.array_equal(a.positions, b.positions):
        return None
    for x, y in ((a.tensor, b.tensor), (b.tensor, a.tensor)):
        gelu = _gelu(node, x, y)
        if gelu is not None:
            return Value(gelu, a.shape, a.order)
        layer = _gate(node, x, y)
        if layer is not None:
            return Value(node.add(layer, x), a.shape, a.order)
    return None


def _gate(node: Node, x: Tensor, gated: Tensor) -> Layer | None:
    """The layer that multiplies `x` by `gated`, if `gated` is made of `x` so."""
    draft = node.draft
    outer = draft.layer(gated.name)
    if outer is None:
        return None
    inner = draft.source(gated.name)
    before = draft.layer(inner.name)
    if isinstance(outer, Sigmoid) and inner == x:
        return SiLU()
    if isinstance(outer, Sigmoid) and isinstance(before, Affine) and before.shift == 0:
        return SiLU(before.scale) if draft.source(inner.name) == x else None
    if type(outer) is HardSigmoid and inner == x:
        return HardSwish(*outer.numbers)
    if isinstance(outer, Tanh) and isinstance(before, Softplus):
        return Mish() if draft.source(inner.name) == x else None
    return None


def _gelu(node: Node, factor: Tensor, other: Tensor) -> Tensor | None:
    """``c x (s + s erf(x / sqrt(2)))``, which is ``2 c s gelu(x)``, of c x and the rest."""
    draft = node.draft

    def before(tensor: Tensor, kind: type[Layer]) -> tuple[Any, Tensor] | None:
        layer = draft.layer(tensor.name)
        return (layer, draft.source(tensor.name)) if isinstance(layer, kind) else None

    line = before(other, Affine)
    erf = line and before(line[1], Erf)
    root = erf and before(erf[1], Affine)
    if not (line and erf and root) or line[0].scale != line[0].shift or root[0].shift != 0:
        return None
    if abs(root[0].scale - math.sqrt(0.5)) > 1e-5:
        return None
    x, c = root[1], 1.0
    if factor != x:
        scaled = before(factor, Affine)
        if scaled is None or scaled[0].shift != 0 or scaled[1] != x:
            return None
        c = scaled[0].scale
    y = node.add(GELU(), x)
    scale = 2 * c * line[0].scale
    return y if scale == 1 else node.add(Affine(scale), y)


absolute = partial(by_element, Abs())
erf = partial(by_element, Erf())
exp = partial(by_element, Exp())
hard_swish = partial(by_element, HardSwish())
log = partial(by_element, Log())
mish = partial(by_element, Mish())
reciprocal = partial(by_element, Reciprocal())
relu = partial(by_element, ReLU())
sigmoid = partial(by_element, Sigmoid())
softplus = partial(by_element, Softplus())
sqrt = partial(by_element, Sqrt())
tanh = partial(by_element, Tanh())
