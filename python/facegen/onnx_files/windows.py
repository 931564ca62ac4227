"""Operators with a window: convolutions of both kinds, and pools."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from facegen.nn import (
    Affine,
    AvgPool2d,
    Conv2d,
    ConvTranspose2d,
    GlobalAvgPool2d,
    MaxPool2d,
    Pad2d,
    Tensor,
)
from facegen.onnx_files.node import Node, are_signs, map_value, scalar
from facegen.onnx_files.sliding import Sliding
from facegen.onnx_files.value import Value

MOST_SPREAD = 2**22  # numbers of a weight that is dilated


def conv(node: Node) -> Value:
    kernel = _kernel(node)
    window, (out, channels) = kernel.window, kernel.weight.shape[:2]
    layer = Conv2d(
        in_channels=channels * kernel.groups,
        out_channels=out,
        kernel=window.kernel,
        stride=window.stride,
        padding=window.pads(),
        dilation=window.dilation,
        bias=bool(kernel.bias),
        groups=kernel.groups,
        binary=kernel.groups == 1 and are_signs(kernel.weight),
    )
    weight = kernel.weight.transpose(0, 2, 3, 1)
    return window.value(node.add(layer, window.x, weight=weight, **kernel.bias))


def conv_transpose(node: Node) -> Value:
    """With dilation the weight has zeros between its own numbers."""
    kernel = _kernel(node)
    window, (channels, out) = kernel.window, kernel.weight.shape[:2]
    padding, extra = window.transposed()
    if channels * out * math.prod(window.reach) > MOST_SPREAD and window.dilation != (1, 1):
        raise ValueError(f"its dilated weight would have more than {MOST_SPREAD:,} numbers")
    weight = np.zeros((channels, out, *window.reach), kernel.weight.dtype)
    weight[:, :, :: window.dilation[0], :: window.dilation[1]] = kernel.weight
    layer = ConvTranspose2d(
        in_channels=channels,
        out_channels=out * kernel.groups,
        kernel=window.reach,
        stride=window.stride,
        padding=padding,
        output_padding=extra,
        bias=bool(kernel.bias),
        groups=kernel.groups,
    )
    # Of each group (in, out, h, w): the groups' outputs follow one another.
    parts = [part.transpose(1, 2, 3, 0) for part in np.split(weight, kernel.groups)]
    return window.value(node.add(layer, window.x, weight=np.concatenate(parts), **kernel.bias))


class _Kernel(NamedTuple):
    """What both convolutions have: `weight` is (out, in, h, w), transposed (in, out, h, w)."""

    window: Sliding
    weight: np.ndarray
    bias: dict[str, np.ndarray]
    groups: int


def _kernel(node: Node) -> _Kernel:
    weight = node.constant(1, "weight")
    if weight.ndim not in (3, 4):
        raise ValueError(f"expected a weight of 3 or 4 dimensions, found {weight.ndim}")
    if (groups := node.get("group", 1)) < 1 or weight.shape[0] % groups:
        raise ValueError(f"its weight of {weight.shape[0]} rows is not for {groups} groups")
    window = Sliding.of(node, weight.shape[2:])
    bias = {"bias": node.constant(2, "bias")} if node.has(2) else {}
    return _Kernel(window, weight.reshape(*weight.shape[:2], *window.kernel), bias, groups)


def max_pool(node: Node) -> Value:
    window = Sliding.of(node)
    if window.dilation != (1, 1):
        raise ValueError("its dilation must be 1: no pool here has another")
    ceil_mode = bool(node.get("ceil_mode", 0))
    layer = MaxPool2d(window.kernel, window.stride, window.pads(), ceil_mode)
    return window.value(node.add(layer, window.x))


def average_pool(node: Node) -> Value:
    """Of dilated windows, or such as lie in the padding alone, there is no layer."""
    window = Sliding.of(node)
    if window.dilation != (1, 1) and window.kernel != (1, 1):
        raise ValueError("its dilation must be 1: no pool here has another")
    pads, include = window.pads(), bool(node.get("count_include_pad", 0))
    if window.kernel == window.x.shape[:2] and pads == ((0, 0), (0, 0)):
        return window.value(node.add(GlobalAvgPool2d(), window.x))
    ceil_mode = bool(node.get("ceil_mode", 0))
    layer = AvgPool2d(window.kernel, window.stride, pads, ceil_mode, include)
    return window.value(node.add(layer, window.x))


def pad(node: Node) -> Value:
    """Zeros before a convolution become its own padding when the graph is compiled."""
    x = node.map_of()
    mode = node.get("mode", "constant")
    pads = node.integers(1, "pads") or []
    axes = node.integers(3, "axes") or list(range(4))
    if len(pads) != 2 * len(axes):
        raise ValueError(f"expected {2 * len(axes)} pads, found {len(pads)}")
    sides = {axis % 4: (pads[i], pads[i + len(axes)]) for i, axis in enumerate(axes)}
    if any(sides.get(axis, (0, 0)) != (0, 0) for axis in (0, 1)):
        raise ValueError("it pads the batch or the channels: layers here pad height and width")
    if mode == "constant" and _padded_with(node) != 0:
        raise ValueError(f"it pads with {_padded_with(node):g}: layers here pad with 0")
    modes = {"constant": "zeros", "edge": "edge", "reflect": "reflect"}
    if mode not in modes:
        raise ValueError(f"its mode is {mode!r:.40}, expected {', '.join(modes)}")
    layer = Pad2d((sides.get(2, (0, 0)), sides.get(3, (0, 0))), modes[mode])  # type: ignore[arg-type]
    return map_value(node.add(layer, x))


def _padded_with(node: Node) -> float:
    if node.has(2):
        return scalar(node.constant(2, "value"), "value", finite=False)
    return float(node.get("value", 0.0))


def global_max_pool(node: Node) -> Value:
    window = Sliding.of(node)
    return window.value(node.add(MaxPool2d(window.x.shape[:2]), window.x))


def global_average_pool(node: Node) -> Value:
    window = Sliding.of(node)
    return window.value(node.add(GlobalAvgPool2d(), window.x))


def reduce_mean(node: Node) -> Value:
    return _reduced(node, node.add(GlobalAvgPool2d(), _whole(node)))


def reduce_sum(node: Node) -> Value:
    x = _whole(node)
    mean = node.add(GlobalAvgPool2d(), x)
    return _reduced(node, node.add(Affine(float(x.shape.height * x.shape.width)), mean))


def reduce_max(node: Node) -> Value:
    x = _whole(node)
    return _reduced(node, node.add(MaxPool2d(x.shape[:2]), x))


def _whole(node: Node) -> Tensor:
    """The map whose height and width a reduction is over."""
    axes = node.integers(1, "axes") or []
    if sorted(node.axis(axis, 4) for axis in axes) != [2, 3]:
        raise ValueError(f"expected one over height and width, axes 2 and 3, found {axes}")
    return node.map_of()


def _reduced(node: Node, y: Tensor) -> Value:
    value = map_value(y)
    return value if node.get("keepdims", 1) else value.viewed(value.positions[:, 0, 0])
