"""Operators that only move numbers: reshapes, transposes, concatenation."""

from __future__ import annotations

import math

import numpy as np

from facegen.nn import Concat, DepthToSpace, SpaceToDepth
from facegen.onnx_files.node import Node, map_value
from facegen.onnx_files.value import Value


def identity(node: Node) -> Value:
    return node.value()


def cast(node: Node) -> Value:
    from onnx import TensorProto

    kinds = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE, TensorProto.BFLOAT16)
    if node.get("to", 0) not in kinds:
        raise ValueError("it casts to what is no float; computed numbers are float32 here")
    return node.value()


def dropout(node: Node) -> Value:
    if node.has(2) and node.constant(2, "training_mode").any():
        raise ValueError("it is one of training: export the network for use")
    return node.value()


def shape(node: Node) -> np.ndarray:
    sizes = [node.batch, *node.value().shape]
    return np.array(sizes[node.get("start", 0) : node.get("end", None)], np.int64)


def flatten(node: Node) -> Value:
    x = node.value()
    if (axis := node.get("axis", 1)) not in (1, -len(x.shape)):
        raise ValueError(f"its axis is {axis}, expected 1: the batch stays apart")
    return x.viewed(x.positions.ravel())


def reshape(node: Node) -> Value:
    x = node.value()
    before = (node.batch, *x.shape)
    target = node.integers(1, "shape") or []
    if not node.get("allowzero", 0):
        if any(size == 0 and i >= len(before) for i, size in enumerate(target)):
            raise ValueError(f"its shape {target} keeps a dimension that there is not")
        target = [before[i] if size == 0 else size for i, size in enumerate(target)]
    if target.count(-1) == 1:
        known = -math.prod(target)
        if known and math.prod(before) % known == 0:
            target[target.index(-1)] = math.prod(before) // known
    if target[:1] != [node.batch] or min(target) < 1 or math.prod(target) != math.prod(before):
        raise ValueError(
            f"it reshapes {before} to {target}: expected as many numbers, and the batch first"
        )
    return x.viewed(x.positions.reshape(target[1:]))


def squeeze(node: Node) -> Value:
    x = node.value()
    axes = node.integers(1, "axes")
    if axes is None:
        raise ValueError("it names no axes, so that a batch of one would go too")
    rank = len(x.shape) + 1
    return x.viewed(x.positions.squeeze(tuple(node.axis(axis, rank) - 1 for axis in axes)))


def unsqueeze(node: Node) -> Value:
    x = node.value()
    axes = node.integers(1, "axes") or []
    rank = len(x.shape) + 1 + len(axes)
    return x.viewed(np.expand_dims(x.positions, tuple(node.axis(a, rank) - 1 for a in axes)))


def transpose(node: Node) -> Value:
    x = node.value()
    order = node.get("perm", list(range(len(x.shape), -1, -1)))
    if order[:1] != [0]:
        raise ValueError(f"it moves the batch: perm is {order}")
    return x.viewed(x.positions.transpose([axis - 1 for axis in order[1:]]))


def gather(node: Node) -> Value:
    """Some of the numbers along an axis, each at most once, in any order."""
    x = node.value()
    axis = node.axis(node.get("axis", 0), len(x.shape) + 1) - 1
    indices = node.constant(1, "indices")
    size = x.shape[axis]
    if indices.dtype.kind not in "iu" or ((indices < -size) | (indices >= size)).any():
        raise ValueError(f"its indices must be from {-size} to {size - 1}")
    if len(np.unique(indices % size)) != indices.size or not indices.size:
        raise ValueError("it takes a number twice, or none: no layer here does")
    return x.viewed(x.positions.take(indices, axis))


def slice_(node: Node) -> Value:
    """Some of the numbers along axes, from a first one on in equal steps."""
    x = node.value()
    starts, ends = node.integers(1, "starts") or [], node.integers(2, "ends") or []
    axes, steps = node.integers(3, "axes"), node.integers(4, "steps") or [1] * len(starts)
    axes = list(range(len(starts))) if axes is None else axes
    positions = x.positions
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        if axis == 0 and (start, step) == (0, 1) and end >= node.batch:
            if node.any_batch and end == 1:
                raise ValueError("it takes the first of a batch, whose size the file leaves open")
            continue  # all of the batch
        place = node.axis(axis, len(x.shape) + 1) - 1
        if step == 0:
            raise ValueError("its step is 0")
        end = None if step < 0 and end < -x.shape[place] else end  # type: ignore[assignment]
        positions = positions[(slice(None),) * place + (slice(start, end, step),)]
    if not positions.size:
        raise ValueError("it leaves nothing")
    return x.viewed(positions)


def split(node: Node) -> list[Value]:
    """The numbers along an axis in parts, one after another."""
    x = node.value()
    axis = node.axis(node.get("axis", 0), len(x.shape) + 1) - 1
    size, sizes = x.shape[axis], node.integers(1, "split")
    if sizes is None:  # equal ones, of which the last may be smaller
        each = -(-size // node.outputs)
        sizes = [min(each, size - i * each) for i in range(node.outputs)]
    if sum(sizes) != size or min(sizes) < 1 or len(sizes) != node.outputs:
        raise ValueError(f"its parts {sizes} are not {node.outputs} of {size} in all")
    ends = np.cumsum(sizes)[:-1]
    return [x.viewed(part) for part in np.split(x.positions, ends, axis)]


def depth_to_space(node: Node) -> Value:
    layer = DepthToSpace(int(node.get("blocksize", 0)), _depth_first(node))
    return map_value(node.add(layer, node.map_of()))


def space_to_depth(node: Node) -> Value:
    layer = SpaceToDepth(int(node.get("blocksize", 0)), _depth_first(node))
    return map_value(node.add(layer, node.map_of()))


def _depth_first(node: Node) -> bool:
    mode = node.get("mode", "DCR")
    if mode not in ("DCR", "CRD"):
        raise ValueError(f"its mode is {mode!r:.40}, expected DCR or CRD")
    return bool(mode == "DCR")


def concat(node: Node) -> Value:
    values = [node.value(i) for i in range(len(node.inputs))]
    shapes = [value.shape for value in values]
    rank = len(shapes[0]) + 1
    if node.axis(node.get("axis", 1), rank) != 1 or any(s[1:] != shapes[0][1:] for s in shapes):
        raise ValueError("expected maps of one height and width, joined over channels (axis 1)")
    if len(values) == 1:
        return values[0]
    channels = sum(each[0] for each in shapes)
    if rank > 2:
        tensor = node.add(Concat(), *(node.draft.as_map(value) for value in values))
        return Value(tensor, (channels, *shapes[0][1:]))
    vectors = [node.draft.as_vector(value) for value in values]
    starts = np.cumsum([0, *(each[0] for each in shapes[:-1])])
    order = np.concatenate(
        [start + order for start, (_, order) in zip(starts, vectors, strict=True)]
    )
    tensor = node.add(Concat(), *(tensor for tensor, _ in vectors))
    return Value(tensor, (channels,)).viewed(order)
