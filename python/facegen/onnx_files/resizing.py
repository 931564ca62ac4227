"""Resize: maps of another height and width."""

from __future__ import annotations

from typing import Any

import numpy as np

from facegen.nn import Upsample
from facegen.onnx_files.node import Node
from facegen.onnx_files.value import Value, map_shape

_COORDINATES = ("half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric")


def resize(node: Node) -> Value:
    """Of a map, or of a row (n, channels, width)."""
    mode = node.get("mode", "nearest")
    centres = node.get("coordinate_transformation_mode", "half_pixel")
    if node.opset < 11:  # which have the pixels' corners, and no choice
        centres = "asymmetric"
    if centres not in _COORDINATES:
        raise ValueError(
            f"its coordinates are {centres!r:.40}, and layers here have {', '.join(_COORDINATES)}"
        )
    if node.get("antialias", 0) or node.get("keep_aspect_ratio_policy", "stretch") != "stretch":
        raise ValueError("it smooths before it resizes, or keeps the aspect: none here does")
    if mode == "cubic" and (node.get("exclude_outside", 0) or _cubic(node) != -0.75):
        raise ValueError("its cubic_coeff_a is not -0.75, or it excludes what is outside")
    options: dict[str, Any] = {"mode": mode, "coordinates": centres}
    if mode == "nearest":
        rounding = node.get("nearest_mode", "round_prefer_floor")
        options["rounding"] = "floor" if node.opset < 11 else rounding
    return _resized(node, options)


def upsample(node: Node) -> Value:
    """Of opsets before 10, by corners."""
    mode = node.get("mode", "nearest")
    options = {"mode": mode, "coordinates": "asymmetric", "rounding": "floor"}
    return _resized(node, options)


def _cubic(node: Node) -> float:
    return float(node.get("cubic_coeff_a", -0.75))


def _resized(node: Node, options: dict[str, Any]) -> Value:
    """By the sizes or the scales of the node; those of batch and channels must stay."""
    x = node.value()
    before = [node.batch, *x.shape]
    rank = len(before)
    axes = [node.axis(axis, rank) if axis else 0 for axis in node.get("axes", range(rank))]
    sizes: list[int] | None = None
    scales = [1.0] * rank
    if node.has(3):
        stated = [float(size) for size in node.integers(3, "sizes") or []]
        sizes = before.copy()
    else:
        stated = _scales(node)
    if len(stated) != len(axes):
        raise ValueError(f"expected {len(axes)} scales or sizes, found {len(stated)}")
    for axis, number in zip(axes, stated, strict=True):
        if sizes is not None:
            sizes[axis] = int(number)
        scales[axis] = number
    if (sizes or before)[:2] != before[:2] or (sizes is None and scales[:2] != [1.0, 1.0]):
        raise ValueError("expected sizes of height and width alone, found others for the rest")
    with np.errstate(over="ignore"):  # Upsample refuses such scales
        products = np.array(before, np.float32) * np.array(scales, np.float32)
    whole = bool((products == np.floor(products)).all())
    if sizes is None and not whole and options["coordinates"] == "align_corners":
        raise ValueError(
            f"its scales {scales} leave no whole number of pixels, whose corners could be aligned"
        )
    if rank not in (3, 4):
        raise ValueError(f"expected a map or a row, found an array of {rank} dimensions")
    tensor = node.draft.as_map(x)
    if sizes is not None:
        sides = [1, *sizes[2:]][-2:]
        layer = Upsample(size=(sides[0], sides[1]), **options)
    else:
        factors = [1.0, *scales[2:]][-2:]
        layer = Upsample(scale=(factors[0], factors[1]), **options)
    y = node.add(layer, tensor)
    height, width, channels = y.shape
    shape = (channels, width) if rank == 3 else (channels, height, width)
    assert map_shape(shape) == y.shape
    return Value(y, shape)


def _scales(node: Node) -> list[float]:
    """As an attribute, the second input, or the third, from opset to opset."""
    if node.op == "Upsample" and node.opset < 9:
        found = np.asarray(node.get("scales", []), np.float64)
    else:
        old = node.op == "Upsample" or node.opset < 11
        found = node.numbers(1 if old else 2, "scales").ravel()
    if not np.isfinite(found).all():
        raise ValueError("its scales must be finite")
    return [float(each) for each in found]
