"""Receptive fields: how much of the input one number of a map depends on.

A window of k pixels over a map whose neighbours lie `jump` input pixels apart sees (k - 1) * jump
pixels more than one of its inputs does, and a stride of s makes the jump s times as large. So three
3x3 see what one 7x7 sees: 1 + 2 + 2 + 2.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

from facegen.nn import (
    AvgPool2d,
    Conv2d,
    ConvTranspose2d,
    DepthToSpace,
    GlobalAvgPool2d,
    Graph,
    GroupNorm,
    InstanceNorm,
    Layer,
    MaxPool2d,
    Reshape,
    Shape,
    SpaceToDepth,
    Upsample,
)


class Field(NamedTuple):
    """Along one axis, in pixels of the input; a size of None is the whole input."""

    size: Fraction | None = Fraction(1)
    jump: Fraction = Fraction(1)  # from one pixel of the map to the next

    def __str__(self) -> str:
        return "all" if self.size is None else str(math.ceil(self.size))


Fields = tuple[Field, Field]  # vertical, horizontal


def receptive_fields(graph: Graph) -> dict[str, Fields]:
    """Of a number in the middle of every map, by the name of the map's layer.

    Where branches join, it is the largest of theirs, as the centres of all lie together. Borders
    are not looked at: a field may be larger than the input.
    """
    found: dict[str, Fields] = {}
    shapes = {node.name: node.shape for node in graph.nodes}
    for node in graph.nodes:
        if node.layer is None:
            found[node.name] = Field(), Field()
            continue
        sources = [found[name] for name in node.inputs]
        before = shapes[node.inputs[0]]
        vertical, horizontal = (
            _after(node.layer, axis, _joined([each[axis] for each in sources]), before, node.shape)
            for axis in (0, 1)
        )
        found[node.name] = vertical, horizontal
    return found


def _joined(fields: Sequence[Field]) -> Field:
    sizes = [each.size for each in fields if each.size is not None]
    whole = len(sizes) < len(fields)
    return Field(None if whole else max(sizes), max(each.jump for each in fields))


def _after(layer: Layer, axis: int, field: Field, before: Shape, shape: Shape) -> Field:
    """The field behind a layer, along one axis."""
    size, jump = field
    if isinstance(layer, GlobalAvgPool2d | InstanceNorm | GroupNorm):
        return Field(None, jump)
    if isinstance(layer, Reshape):
        return field if before[:2] == shape[:2] else Field(None, jump)
    if size is None:
        return field
    if isinstance(layer, Conv2d | MaxPool2d | AvgPool2d):
        window = layer.axes[axis]
        return Field(size + (window.reach - 1) * jump, jump * window.stride)
    if isinstance(layer, ConvTranspose2d):
        window = layer.axes[axis]
        inputs = -(-window.kernel // window.stride)  # that meet in one output
        return Field(size + (inputs - 1) * jump, jump / window.stride)
    if isinstance(layer, Upsample):
        inputs = {"nearest": 1, "linear": 2, "cubic": 4}[layer.mode]
        return Field(size + (inputs - 1) * jump, jump * Fraction(before[axis], shape[axis]))
    if isinstance(layer, DepthToSpace):
        return Field(size, jump / layer.block)
    if isinstance(layer, SpaceToDepth):
        return Field(size + (layer.block - 1) * jump, jump * layer.block)
    return field
