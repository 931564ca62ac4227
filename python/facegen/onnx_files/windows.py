"""Operators with a window: convolutions of both kinds, pools, and bilinear resizing."""

from __future__ import annotations

import numpy as np

from facegen.nn import (
    Affine,
    Conv2d,
    ConvTranspose2d,
    GlobalAvgPool2d,
    MaxPool2d,
    Shape,
    Tensor,
    Upsample,
)
from facegen.onnx_files.node import Node, map_value
from facegen.onnx_files.value import Value

Pair = tuple[int, int]
Pads = tuple[Pair, Pair]  # (top, bottom), (left, right)


def conv(node: Node) -> Value:
    x, weight, bias = node.map_of(), _weight(node), _bias(node)
    dilation = _pair(node, "dilations", 1)
    stride, kernel = _pair(node, "strides", 1), weight.shape[2:]
    groups = node.get("group", 1)
    layer = Conv2d(
        in_channels=weight.shape[1] * groups,
        out_channels=weight.shape[0],
        kernel=kernel,
        stride=stride,
        padding=_pads(node, x.shape, kernel, stride, dilation),
        dilation=dilation,
        bias=bool(bias),
        groups=groups,
    )
    return map_value(node.add(layer, x, weight=weight.transpose(0, 2, 3, 1), **bias))


def conv_transpose(node: Node) -> Value:
    x, weight, bias = node.map_of(), _weight(node), _bias(node)
    if _pair(node, "dilations", 1) != (1, 1):
        raise ValueError("its dilation must be 1: no transposed convolution here has another")
    stride, extra = _pair(node, "strides", 1), _pair(node, "output_padding", 0)
    kernel = weight.shape[2:]
    groups = node.get("group", 1)
    layer = ConvTranspose2d(
        in_channels=weight.shape[0],
        out_channels=weight.shape[1] * groups,
        kernel=kernel,
        stride=stride,
        padding=_transposed_pads(node, x.shape, kernel, stride, extra),
        output_padding=extra,
        bias=bool(bias),
        groups=groups,
    )
    # Of each group (in, out, h, w): the groups' outputs follow one another.
    parts = [part.transpose(1, 2, 3, 0) for part in np.split(weight, groups)]
    return map_value(node.add(layer, x, weight=np.concatenate(parts), **bias))


def max_pool(node: Node) -> Value:
    x = node.map_of()
    kernel, stride = _kernel(node), _pair(node, "strides", 1)
    if _pair(node, "dilations", 1) != (1, 1):
        raise ValueError("its dilation must be 1: no pool here has another")
    pads = _pads(node, x.shape, kernel, stride, (1, 1))
    return map_value(node.add(MaxPool2d(kernel, stride, pads, bool(node.get("ceil_mode", 0))), x))


def global_max_pool(node: Node) -> Value:
    x = node.map_of()
    return map_value(node.add(MaxPool2d(x.shape[:2]), x))


def global_average_pool(node: Node) -> Value:
    return map_value(node.add(GlobalAvgPool2d(), node.map_of()))


def average_pool(node: Node) -> Value:
    x, kernel = node.map_of(), _kernel(node)
    pads = _pads(node, x.shape, kernel, _pair(node, "strides", 1), _pair(node, "dilations", 1))
    if kernel != x.shape[:2] or pads != ((0, 0), (0, 0)):
        raise ValueError(
            f"its window {kernel} is not the whole map {x.shape[:2]}, and averages here are of "
            "whole maps; a convolution with equal weights would do"
        )
    return map_value(node.add(GlobalAvgPool2d(), x))


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


def resize(node: Node) -> Value:
    x = node.map_of()
    mode = node.get("mode", "nearest")
    centres = node.get("coordinate_transformation_mode", "half_pixel")
    if node.opset < 11:  # which have the pixels' corners, and no choice
        centres = "asymmetric"
    if mode != "linear" or centres not in ("half_pixel", "pytorch_half_pixel"):
        raise ValueError(
            f"its mode is {mode!r:.40} with {centres!r:.40}, expected 'linear' with 'half_pixel' "
            "(PyTorch's bilinear with align_corners=False, opset 11 or later)"
        )
    if node.get("antialias", 0) or node.get("keep_aspect_ratio_policy", "stretch") != "stretch":
        raise ValueError("it smooths before it resizes, or keeps the aspect: none here does")
    layer = Upsample(size=_resized(node, x.shape))
    y = map_value(node.add(layer, x))
    if centres == "pytorch_half_pixel" and 1 in y.shape[1:] and y.shape[1:] != x.shape[:2]:
        raise ValueError("it resizes to one pixel, whose centre pytorch_half_pixel puts elsewhere")
    return y


def _resized(node: Node, x: Shape) -> Pair:
    """Height and width after a Resize."""
    before = [node.batch, x.channels, x.height, x.width]
    axes = [node.axis(axis, 4) if axis else 0 for axis in node.get("axes", range(4))]
    if node.has(3):
        stated = node.integers(3, "sizes") or []
    else:
        factors = node.numbers(2, "scales").ravel()
        if len(factors) != len(axes) or not np.isfinite(factors).all():
            raise ValueError(f"expected {len(axes)} scales, found {len(factors)}")
        exact = np.array([before[axis] for axis in axes]) * factors
        stated = [round(each) for each in exact]
        # Else the distance of the samples would not be the ratio of the sizes.
        if np.abs(exact - stated).max() > 1e-3:
            raise ValueError(f"its scales {factors.tolist()} leave no whole number of pixels")
    if len(stated) != len(axes):
        raise ValueError(f"expected {len(axes)} sizes, found {len(stated)}")
    sizes = before.copy()
    for axis, size in zip(axes, stated, strict=True):
        sizes[axis] = size
    if sizes[:2] != before[:2]:
        raise ValueError(f"expected sizes of height and width alone, found {sizes}")
    return sizes[2], sizes[3]


def _weight(node: Node) -> np.ndarray:
    """Of a convolution; (out, in, h, w), or (in, out, h, w) where it is transposed."""
    weight = node.constant(1, "weight")
    if weight.ndim != 4:
        raise ValueError(f"expected a weight of 4 dimensions, found {weight.ndim}")
    if (groups := node.get("group", 1)) < 1 or weight.shape[0] % groups:
        raise ValueError(f"its weight of {weight.shape[0]} rows is not for {groups} groups")
    if _pair(node, "kernel_shape", 0) not in ((0, 0), weight.shape[2:]):
        raise ValueError(f"its kernel_shape differs from its weight's {weight.shape[2:]}")
    return weight


def _bias(node: Node) -> dict[str, np.ndarray]:
    return {"bias": node.constant(2, "bias")} if node.has(2) else {}


def _kernel(node: Node) -> Pair:
    return _pair(node, "kernel_shape", 1)


def _pair(node: Node, attribute: str, default: int) -> Pair:
    found = node.get(attribute, [default] * 2)
    if len(found) != 2:
        raise ValueError(f"expected 2 {attribute}, found {len(found)}")
    return int(found[0]), int(found[1])


def _pads(node: Node, x: Shape, kernel: Pair, stride: Pair, dilation: Pair) -> Pads:
    """Of a convolution or a pool, stated or by auto_pad."""
    auto = node.get("auto_pad", "NOTSET")
    if auto == "NOTSET":
        return _stated_pads(node)
    if auto == "VALID":
        return (0, 0), (0, 0)
    totals = []
    for size, k, step, gap in zip(x[:2], kernel, stride, dilation, strict=True):
        outputs = -(-size // max(step, 1))
        totals.append(max((outputs - 1) * step + (k - 1) * gap + 1 - size, 0))
    return _halves(totals, auto == "SAME_UPPER")


def _transposed_pads(node: Node, x: Shape, kernel: Pair, stride: Pair, extra: Pair) -> Pads:
    """Of a transposed convolution: stated, or what leaves the output's stated size."""
    auto, sizes = node.get("auto_pad", "NOTSET"), node.get("output_shape", None)
    if auto == "VALID" and sizes is None:
        return (0, 0), (0, 0)
    if auto == "NOTSET" and sizes is None:
        return _stated_pads(node)
    if sizes is None:
        sizes = [size * step for size, step in zip(x[:2], stride, strict=True)]
    full = [
        step * (size - 1) + more + k
        for size, k, step, more in zip(x[:2], kernel, stride, extra, strict=True)
    ]
    totals = [before - after for before, after in zip(full, sizes[-2:], strict=True)]
    return _halves(totals, auto == "SAME_UPPER")


def _stated_pads(node: Node) -> Pads:
    pads = node.get("pads", [0] * 4)
    if len(pads) != 4:
        raise ValueError(f"expected 4 pads, found {len(pads)}")
    top, left, bottom, right = pads
    return (top, bottom), (left, right)


def _halves(totals: list[int], more_behind: bool) -> Pads:
    """Each total before and behind; an odd one has one more behind, or one more before."""
    small = [total // 2 for total in totals]
    large = [total - half for total, half in zip(totals, small, strict=True)]
    front, back = (small, large) if more_behind else (large, small)
    return (front[0], back[0]), (front[1], back[1])
