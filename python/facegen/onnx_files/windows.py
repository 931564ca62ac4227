"""Operators with a window: convolutions of both kinds, and pools."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from facegen.nn import Affine, Conv2d, ConvTranspose2d, GlobalAvgPool2d, MaxPool2d, Tensor
from facegen.onnx_files.node import Node, map_value
from facegen.onnx_files.sliding import Sliding
from facegen.onnx_files.value import Value

MOST_SPREAD = 2**24  # numbers of a weight that is dilated


def conv(node: Node) -> Value:
    kernel = _kernel(node)
    window, (out, channels) = kernel.window, kernel.weight.shape[:2]
    layer = Conv2d(
        in_channels=channels,
        out_channels=out,
        kernel=window.kernel,
        stride=window.stride,
        padding=window.pads(),
        dilation=window.dilation,
        bias=bool(kernel.bias),
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
        out_channels=out,
        kernel=window.reach,
        stride=window.stride,
        padding=padding,
        output_padding=extra,
        bias=bool(kernel.bias),
    )
    weight = weight.transpose(1, 2, 3, 0)
    return window.value(node.add(layer, window.x, weight=weight, **kernel.bias))


class _Kernel(NamedTuple):
    """What both convolutions have: `weight` is (out, in, h, w), transposed (in, out, h, w)."""

    window: Sliding
    weight: np.ndarray
    bias: dict[str, np.ndarray]


def _kernel(node: Node) -> _Kernel:
    weight = node.constant(1, "weight")
    if weight.ndim not in (3, 4):
        raise ValueError(f"expected a weight of 3 or 4 dimensions, found {weight.ndim}")
    if (group := node.get("group", 1)) != 1:
        raise ValueError(f"it has {group} groups, and convolutions here have one")
    window = Sliding.of(node, weight.shape[2:])
    bias = {"bias": node.constant(2, "bias")} if node.has(2) else {}
    return _Kernel(window, weight.reshape(*weight.shape[:2], *window.kernel), bias)


def max_pool(node: Node) -> Value:
    window = Sliding.of(node)
    if window.dilation != (1, 1):
        raise ValueError("its dilation must be 1: no pool here has another")
    ceil_mode = bool(node.get("ceil_mode", 0))
    layer = MaxPool2d(window.kernel, window.stride, window.pads(), ceil_mode)
    return window.value(node.add(layer, window.x))


def average_pool(node: Node) -> Value:
    window = Sliding.of(node)
    if window.kernel != window.x.shape[:2] or window.pads() != ((0, 0), (0, 0)):
        raise ValueError(
            f"its window {window.kernel} is not the whole map {window.x.shape[:2]}, and averages "
            "here are of whole maps; a convolution with equal weights would do"
        )
    return window.value(node.add(GlobalAvgPool2d(), window.x))


def global_max_pool(node: Node) -> Value:
    x = node.map_of()
    return map_value(node.add(MaxPool2d(x.shape[:2]), x))


def global_average_pool(node: Node) -> Value:
    return map_value(node.add(GlobalAvgPool2d(), node.map_of()))


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
