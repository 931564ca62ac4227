"""Norms with statistics of the image itself: of channels, groups, pixels, neighbours."""

from __future__ import annotations

import numpy as np

from facegen.nn import GroupNorm, InstanceNorm, LayerNorm, LocalResponseNorm
from facegen.onnx_files.activations import by_map
from facegen.onnx_files.node import Node
from facegen.onnx_files.value import Value

MOST_NEIGHBOURS = 2**16 - 1  # channels of one sum


def instance_normalization(node: Node) -> Value:
    layer = InstanceNorm(node.value().shape[0], _eps(node))
    return by_map(node, layer, gamma=node.constant(1, "scale"), beta=node.constant(2, "B"))


def group_normalization(node: Node) -> Value:
    """Of opset 21 on; onnx itself refuses the one before, which was withdrawn."""
    layer = GroupNorm(int(node.get("num_groups", 1)), node.value().shape[0], _eps(node))
    return by_map(node, layer, gamma=node.constant(1, "scale"), beta=node.constant(2, "bias"))


def layer_normalization(node: Node) -> Value:
    """Over the last axis, which must be the channels of our graph."""
    x = node.value()
    rank = len(x.shape) + 1
    if node.axis(node.get("axis", -1), rank) != rank - 1:
        raise ValueError("it normalises several axes, and layers here the channels of a pixel")
    channels = x.shape[-1]
    scale = node.constant(1, "scale")
    bias = node.constant(2, "bias") if node.has(2) else np.zeros_like(scale)
    first = x.viewed(np.moveaxis(x.positions, -1, 0))
    layer = LayerNorm(channels, _eps(node))
    y = Value(node.add(layer, node.draft.as_map(first), gamma=scale, beta=bias), first.shape)
    return y.viewed(np.moveaxis(y.positions, 0, -1))


def response_normalization(node: Node) -> Value:
    size = int(node.get("size", 0))
    if size % 2 == 0 or not 0 < size <= MOST_NEIGHBOURS:
        raise ValueError(f"its size is {size}, expected an odd one from 1 to {MOST_NEIGHBOURS}")
    alpha, beta = float(node.get("alpha", 1e-4)), float(node.get("beta", 0.75))
    return by_map(node, LocalResponseNorm(size, alpha, beta, float(node.get("bias", 1.0))))


def _eps(node: Node) -> float:
    return float(node.get("epsilon", 1e-5))
