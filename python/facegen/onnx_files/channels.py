"""What has a number for each channel, of a map or of a vector that lies in another order."""

from __future__ import annotations

import numpy as np

from facegen.nn import BatchNorm, Layer
from facegen.onnx_files.node import Node
from facegen.onnx_files.value import Value


def check_per_channel(constant: np.ndarray, x: Value, what: str) -> None:
    """A constant that NumPy would spread over `x` with one number a channel.

    Raises
    ------
    ValueError
        It has another shape.
    """
    wide = (1,) * (len(x.shape) + 1 - constant.ndim) + constant.shape
    if wide != (1, x.shape[0], *[1] * (len(x.shape) - 1)):
        raise ValueError(
            f"its {what} is of shape {constant.shape}, expected one number, or one for each of "
            f"{x.shape[0]} channels"
        )


def batch_norm(node: Node, x: Value, eps: float, weights: dict[str, np.ndarray]) -> Value:
    """Batch norm with the stored statistics."""
    return per_channel(node, x, BatchNorm(x.shape[0], eps), weights)


def per_channel(node: Node, x: Value, layer: Layer, weights: dict[str, np.ndarray]) -> Value:
    """A layer with weights (channels,)."""
    if len(x.shape) > 1:
        return Value(node.add(layer, node.draft.as_map(x), **weights), x.shape)
    tensor, order = node.draft.as_vector(x)
    if any(each.shape != x.shape for each in weights.values()):
        raise ValueError(f"expected {x.shape[0]} numbers of each kind for its channels")
    moved = {name: np.empty_like(each) for name, each in weights.items()}
    for name, each in weights.items():
        moved[name][order] = each
    return Value(node.add(layer, tensor, **moved), x.shape, order).viewed(order)
