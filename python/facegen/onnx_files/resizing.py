"""Resize: maps of another height and width."""

from __future__ import annotations

import numpy as np

from facegen.nn import Shape, Upsample
from facegen.onnx_files.node import Node, map_value
from facegen.onnx_files.value import Value

Pair = tuple[int, int]


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
