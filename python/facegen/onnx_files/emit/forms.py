"""Numbers elsewhere, or other maps: reshapes, slices, borders, interpolation."""

from __future__ import annotations

from typing import Any

import numpy as np

from facegen.nn import Channels, ChannelShuffle, DepthToSpace, Pad2d, Slice, Upsample
from facegen.nn.graph import Node
from facegen.nn.layers import Blocks
from facegen.nn.window import padding_pairs
from facegen.onnx_files.emit.nodes import on_map
from facegen.onnx_files.emitter import MAP, VECTOR, Emitter


def upsample(e: Emitter, node: Node) -> None:
    layer = node.layer
    assert isinstance(layer, Upsample)
    attributes: dict[str, Any] = {"mode": layer.mode}
    if layer.placed_by != "half_pixel":
        attributes["coordinate_transformation_mode"] = layer.placed_by
    if layer.mode == "nearest":
        attributes["nearest_mode"] = layer.rounding
    x, y = e.shapes[node.inputs[0]], node.shape
    scales: tuple[float, ...] = layer.scales
    if not scales and y.height % x.height == 0 and y.width % x.width == 0:
        scales = y.height // x.height, y.width // x.width
    if scales:
        factors = e.constant(f"{node.name}.scales", np.array([1, 1, *scales], np.float32))
        on_map(e, node, "Resize", "", factors, **attributes)
        return
    e.opset = max(e.opset, 18)  # the first that takes the sizes of some axes alone
    sizes = e.constant(f"{node.name}.sizes", np.array(y[:2], np.int64))
    on_map(e, node, "Resize", "", "", sizes, axes=[2, 3], **attributes)


def pad(e: Emitter, node: Node) -> None:
    assert isinstance(node.layer, Pad2d)
    (top, bottom), (left, right) = padding_pairs(node.layer.padding)
    pads = np.array([0, 0, top, left, 0, 0, bottom, right], np.int64)
    mode = {"zeros": "constant"}.get(node.layer.mode, node.layer.mode)
    on_map(e, node, "Pad", e.constant(f"{node.name}.pads", pads), mode=mode)


def slice_(e: Emitter, node: Node) -> None:
    layer = node.layer
    assert isinstance(layer, Slice)
    x = e.shapes[node.inputs[0]]
    given = [
        (0, size, 1) if each is None else each
        for each, size in zip((layer.rows, layer.columns), x, strict=False)
    ]
    ends = [first + count * step for first, count, step in given]
    columns = {
        "starts": [first for first, _, _ in given],
        "ends": [end if end >= 0 else -(2**31) for end in ends],  # else it counts from the back
        "axes": [2, 3],
        "steps": [step for _, _, step in given],
    }
    constants = [
        e.constant(f"{node.name}.{name}", np.array(values, np.int64))
        for name, values in columns.items()
    ]
    on_map(e, node, "Slice", *constants)


def blocks(e: Emitter, node: Node) -> None:
    layer = node.layer
    assert isinstance(layer, Blocks)
    if isinstance(layer, DepthToSpace):
        mode = "DCR" if layer.depth_first else "CRD"
        on_map(e, node, "DepthToSpace", blocksize=layer.block, mode=mode)
        return
    if not layer.depth_first:
        raise ValueError("a SpaceToDepth whose channels stay together is not written as ONNX")
    on_map(e, node, "SpaceToDepth", blocksize=layer.block)


def channels(e: Emitter, node: Node) -> None:
    assert isinstance(node.layer, Channels)
    first, last = node.layer.first, node.layer.first + node.layer.count
    values = {"starts": [first], "ends": [last], "axes": [1]}
    constants = [e.constant(f"{node.name}.{k}", np.array(v, np.int64)) for k, v in values.items()]
    on_map(e, node, "Slice", *constants)


def channel_shuffle(e: Emitter, node: Node) -> None:
    assert isinstance(node.layer, ChannelShuffle)
    height, width, channels = node.shape
    groups = node.layer.groups
    x = e.value(node.inputs[0], MAP)
    x = e.reshape(x, f"{node.name}.groups", (groups, channels // groups, height, width))
    x = e.emit("Transpose", [x], f"{node.name}.turned", perm=[0, 2, 1, 3, 4])
    e.know(node.name, MAP, e.reshape(x, node.name, (channels, height, width)))


def reshape(e: Emitter, node: Node) -> None:
    """The numbers in the order of our graph, channels last, as both shapes have them."""
    source, shape = node.inputs[0], node.shape
    if e.shapes[source][:2] == (1, 1):
        x = e.value(source, VECTOR)
    else:
        x = e.emit("Transpose", [e.value(source, MAP)], f"{node.name}.last", perm=[0, 2, 3, 1])
    if shape[:2] == (1, 1):
        e.know(node.name, VECTOR, e.reshape(x, node.name, shape[2:]))
        return
    reshaped = e.reshape(x, f"{node.name}.reshaped", shape)
    first = e.emit("Transpose", [reshaped], node.name, perm=[0, 3, 1, 2])
    e.know(node.name, MAP, first)
