"""The table of layers: each layer of ours, and the ONNX nodes for it.

Weights keep their canonical names, so that a file reads back to the same network.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from facegen.nn import (
    ELU,
    GELU,
    SELU,
    Abs,
    Add,
    Affine,
    ArgMax,
    AvgPool2d,
    BatchNorm,
    Channels,
    ChannelShuffle,
    Clip,
    Concat,
    Conv2d,
    ConvTranspose2d,
    DepthToSpace,
    Div,
    Exp,
    GlobalAvgPool2d,
    GroupNorm,
    HardSigmoid,
    HardSwish,
    InstanceNorm,
    Layer,
    LayerNorm,
    LeakyReLU,
    Linear,
    LocalResponseNorm,
    Log,
    LogSoftmax,
    Maximum,
    MaxPool2d,
    Minimum,
    Mish,
    Mul,
    Pad2d,
    PReLU,
    Reciprocal,
    ReLU,
    Reshape,
    Sigmoid,
    SiLU,
    Slice,
    Softmax,
    Softplus,
    SpaceToDepth,
    Sqrt,
    Sub,
    Tanh,
    Upsample,
)
from facegen.nn.graph import Node
from facegen.nn.layers import Blocks
from facegen.nn.window import WindowAxis, padding_pairs, pair
from facegen.onnx_files.emitter import MAP, VECTOR, Emitter


def _one(e: Emitter, node: Node, op: str, **attributes: Any) -> None:
    """One node, which reads one tensor in the form that it has, and leaves it there."""
    form = e.form(node.inputs[0])
    e.know(node.name, form, e.emit(op, [e.value(node.inputs[0], form)], node.name, **attributes))


def _map(e: Emitter, node: Node, op: str, *more: str, **attributes: Any) -> None:
    """One node on a map."""
    x = e.value(node.inputs[0], MAP)
    e.know(node.name, MAP, e.emit(op, [x, *more], node.name, **attributes))


def _several(e: Emitter, node: Node, op: str, **attributes: Any) -> None:
    """One node on several tensors, of which none is a vector if one is a map."""
    forms = {e.form(name) for name in node.inputs}
    form = VECTOR if forms == {VECTOR} else MAP
    values = [e.value(name, form) for name in node.inputs]
    e.know(node.name, form, e.emit(op, values, node.name, **attributes))


def _conv(e: Emitter, node: Node) -> None:
    assert isinstance(node.layer, Conv2d)
    groups = {"group": node.layer.groups} if node.layer.groups > 1 else {}
    weights = e.weights(node, lambda weight: weight.transpose(0, 3, 1, 2))
    _map(e, node, "Conv", *weights, **_window(node.layer.axes), **groups)


def _conv_transpose(e: Emitter, node: Node) -> None:
    assert isinstance(node.layer, ConvTranspose2d)
    extra = pair(node.layer.output_padding, "output_padding", 0)
    window = _window(node.layer.axes) | ({"output_padding": extra} if any(extra) else {})
    count = node.layer.groups
    groups = {"group": count} if count > 1 else {}

    def turn(weight: np.ndarray) -> np.ndarray:
        """Of each group (in, out, h, w): the groups' inputs follow one another."""
        return np.concatenate([part.transpose(3, 0, 1, 2) for part in np.split(weight, count)])

    _map(e, node, "ConvTranspose", *e.weights(node, turn), **window, **groups)


def _linear(e: Emitter, node: Node) -> None:
    if node.shape[:2] == (1, 1):
        x = e.value(node.inputs[0], VECTOR)
        e.know(node.name, VECTOR, e.emit("Gemm", [x, *e.weights(node)], node.name, transB=1))
        return
    weight, *bias = e.weights(node)
    axes = e.constant(f"{node.name}.axes", np.array([2, 3], np.int64))
    window = e.emit("Unsqueeze", [weight, axes], f"{node.name}.window")
    _map(e, node, "Conv", window, *bias)


def _batch_norm(e: Emitter, node: Node) -> None:
    assert isinstance(node.layer, BatchNorm)
    form = e.form(node.inputs[0])
    values = [e.value(node.inputs[0], form), *e.weights(node)]
    y = e.emit("BatchNormalization", values, node.name, epsilon=node.layer.eps)
    e.know(node.name, form, y)


def _instance_norm(e: Emitter, node: Node) -> None:
    assert isinstance(node.layer, InstanceNorm)
    _map(e, node, "InstanceNormalization", *e.weights(node), epsilon=node.layer.eps)


def _leaky_relu(e: Emitter, node: Node) -> None:
    assert isinstance(node.layer, LeakyReLU)
    _one(e, node, "LeakyRelu", alpha=node.layer.slope)


def _prelu(e: Emitter, node: Node) -> None:
    form = e.form(node.inputs[0])
    (slope,) = e.weights(node)
    if form == MAP:
        axes = e.constant(f"{node.name}.axes", np.array([1, 2], np.int64))
        slope = e.emit("Unsqueeze", [slope, axes], f"{node.name}.slopes")
    y = e.emit("PRelu", [e.value(node.inputs[0], form), slope], node.name)
    e.know(node.name, form, y)


def _clip(e: Emitter, node: Node) -> None:
    assert isinstance(node.layer, Clip)
    form = e.form(node.inputs[0])
    ends = []
    for name, bound in (("low", node.layer.low), ("high", node.layer.high)):
        stated = np.isfinite(bound)
        ends.append(e.constant(f"{node.name}.{name}", np.array(bound, "f4")) if stated else "")
    y = e.emit("Clip", [e.value(node.inputs[0], form), *ends], node.name)
    e.know(node.name, form, y)


def _elu(e: Emitter, node: Node) -> None:
    """ONNX's Selu has any numbers."""
    assert isinstance(node.layer, ELU)
    alpha, scale = node.layer.numbers
    if scale == 1 and not isinstance(node.layer, SELU):
        _one(e, node, "Elu", alpha=alpha)
    else:
        _one(e, node, "Selu", alpha=alpha, gamma=scale)


def _hard_sigmoid(e: Emitter, node: Node) -> None:
    assert isinstance(node.layer, HardSigmoid)
    _one(e, node, "HardSigmoid", alpha=node.layer.alpha, beta=node.layer.beta)


def _hard_swish(e: Emitter, node: Node) -> None:
    """ONNX's own has PyTorch's numbers; with others it is a product."""
    assert isinstance(node.layer, HardSwish)
    if node.layer == HardSwish():
        _one(e, node, "HardSwish")
    else:
        alpha, beta = node.layer.numbers
        _gated(e, node, "HardSigmoid", alpha=alpha, beta=beta)


def _silu(e: Emitter, node: Node) -> None:
    assert isinstance(node.layer, SiLU)
    _gated(e, node, "Sigmoid", factor=node.layer.alpha)


def _gated(e: Emitter, node: Node, op: str, factor: float = 1, **attributes: Any) -> None:
    """``x * op(factor * x)``."""
    form = e.form(node.inputs[0])
    x = y = e.value(node.inputs[0], form)
    if factor != 1:
        scale = e.constant(f"{node.name}.factor", np.array(factor, np.float32))
        y = e.emit("Mul", [x, scale], f"{node.name}.scaled")
    gate = e.emit(op, [y], f"{node.name}.gate", **attributes)
    e.know(node.name, form, e.emit("Mul", [x, gate], node.name))


def _gelu(e: Emitter, node: Node) -> None:
    assert isinstance(node.layer, GELU)
    e.opset = max(e.opset, 20)
    _one(e, node, "Gelu", approximate="tanh" if node.layer.tanh else "none")


def _mish(e: Emitter, node: Node) -> None:
    e.opset = max(e.opset, 18)
    _one(e, node, "Mish")


def _affine(e: Emitter, node: Node) -> None:
    """A product and a sum; one alone where the other changes nothing."""
    assert isinstance(node.layer, Affine)
    scale, shift = (np.array(v, np.float32) for v in (node.layer.scale, node.layer.shift))
    form = e.form(node.inputs[0])
    x = e.value(node.inputs[0], form)
    if scale != 1 or shift == 0:
        name = node.name if shift == 0 else f"{node.name}.scaled"
        x = e.emit("Mul", [x, e.constant(f"{node.name}.scale", scale)], name)
    if shift != 0:
        x = e.emit("Add", [x, e.constant(f"{node.name}.shift", shift)], node.name)
    e.know(node.name, form, x)


def _arg_max(e: Emitter, node: Node) -> None:
    """Indices are integers in ONNX, and float32 in our graphs."""
    from onnx import TensorProto

    x = e.value(node.inputs[0], MAP)
    best = e.emit("ArgMax", [x], f"{node.name}.index", axis=1, keepdims=1)
    e.know(node.name, MAP, e.emit("Cast", [best], node.name, to=TensorProto.FLOAT))


def _max_pool(e: Emitter, node: Node) -> None:
    """Borders such that the windows are those of the layer without ONNX's own ceil_mode.

    Which windows count in ceil_mode was settled in opset 22 alone.
    """
    assert isinstance(node.layer, MaxPool2d)
    axes, x = node.layer.axes, e.shapes[node.inputs[0]]
    behind = [
        max(0, (outputs - 1) * axis.stride + axis.reach - size - axis.pad_front)
        for axis, outputs, size in zip(axes, node.shape, x, strict=False)
    ]
    attributes = _window(axes) | {"pads": [axis.pad_front for axis in axes] + behind}
    del attributes["dilations"]
    _map(e, node, "MaxPool", **attributes)


def _avg_pool(e: Emitter, node: Node) -> None:
    layer = node.layer
    assert isinstance(layer, AvgPool2d)
    attributes: dict[str, Any] = {**_window(layer.axes)}
    del attributes["dilations"]
    if layer.ceil_mode:
        e.opset = max(e.opset, 22)  # the first that says which windows count
        attributes["ceil_mode"] = 1
    _map(e, node, "AveragePool", **attributes, count_include_pad=int(layer.count_include_pad))


def _upsample(e: Emitter, node: Node) -> None:
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
        _map(e, node, "Resize", "", factors, **attributes)
        return
    e.opset = max(e.opset, 18)  # the first that takes the sizes of some axes alone
    sizes = e.constant(f"{node.name}.sizes", np.array(y[:2], np.int64))
    _map(e, node, "Resize", "", "", sizes, axes=[2, 3], **attributes)


def _pad(e: Emitter, node: Node) -> None:
    assert isinstance(node.layer, Pad2d)
    (top, bottom), (left, right) = padding_pairs(node.layer.padding)
    pads = np.array([0, 0, top, left, 0, 0, bottom, right], np.int64)
    mode = {"zeros": "constant"}.get(node.layer.mode, node.layer.mode)
    _map(e, node, "Pad", e.constant(f"{node.name}.pads", pads), mode=mode)


def _slice(e: Emitter, node: Node) -> None:
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
    _map(e, node, "Slice", *constants)


def _blocks(e: Emitter, node: Node) -> None:
    layer = node.layer
    assert isinstance(layer, Blocks)
    if isinstance(layer, DepthToSpace):
        mode = "DCR" if layer.depth_first else "CRD"
        _map(e, node, "DepthToSpace", blocksize=layer.block, mode=mode)
        return
    if not layer.depth_first:
        raise ValueError("a SpaceToDepth whose channels stay together is not written as ONNX")
    _map(e, node, "SpaceToDepth", blocksize=layer.block)


def _channels(e: Emitter, node: Node) -> None:
    assert isinstance(node.layer, Channels)
    first, last = node.layer.first, node.layer.first + node.layer.count
    values = {"starts": [first], "ends": [last], "axes": [1]}
    constants = [e.constant(f"{node.name}.{k}", np.array(v, np.int64)) for k, v in values.items()]
    _map(e, node, "Slice", *constants)


def _channel_shuffle(e: Emitter, node: Node) -> None:
    assert isinstance(node.layer, ChannelShuffle)
    height, width, channels = node.shape
    groups = node.layer.groups
    x = e.value(node.inputs[0], MAP)
    x = e.reshape(x, f"{node.name}.groups", (groups, channels // groups, height, width))
    x = e.emit("Transpose", [x], f"{node.name}.turned", perm=[0, 2, 1, 3, 4])
    e.know(node.name, MAP, e.reshape(x, node.name, (channels, height, width)))


def _layer_norm(e: Emitter, node: Node) -> None:
    """ONNX normalises the last axes: channels go there and back."""
    assert isinstance(node.layer, LayerNorm)
    x = e.value(node.inputs[0], MAP)
    x = e.emit("Transpose", [x], f"{node.name}.last", perm=[0, 2, 3, 1])
    operands = [x, *e.weights(node)]
    x = e.emit("LayerNormalization", operands, f"{node.name}.norm", axis=-1, epsilon=node.layer.eps)
    e.know(node.name, MAP, e.emit("Transpose", [x], node.name, perm=[0, 3, 1, 2]))


def _group_norm(e: Emitter, node: Node) -> None:
    layer = node.layer
    assert isinstance(layer, GroupNorm)
    e.opset = max(e.opset, 21)  # the first with a number a channel
    attributes = {"num_groups": layer.groups, "epsilon": layer.eps}
    _map(e, node, "GroupNormalization", *e.weights(node), **attributes)


def _response_norm(e: Emitter, node: Node) -> None:
    layer = node.layer
    assert isinstance(layer, LocalResponseNorm)
    numbers = {"size": layer.size, "alpha": layer.alpha, "beta": layer.beta, "bias": layer.k}
    _map(e, node, "LRN", **numbers)


def _reshape(e: Emitter, node: Node) -> None:
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


def _window(axes: Sequence[WindowAxis]) -> dict[str, list[int]]:
    """A window's attributes."""
    return {
        "kernel_shape": [axis.kernel for axis in axes],
        "strides": [axis.stride for axis in axes],
        "dilations": [axis.dilation for axis in axes],
        "pads": [axis.pad_front for axis in axes] + [axis.pad_back for axis in axes],
    }


EMITTERS: Mapping[type[Layer], Callable[[Emitter, Node], None]] = {
    Abs: lambda e, node: _one(e, node, "Abs"),
    Add: lambda e, node: _several(e, node, "Add"),
    Affine: _affine,
    ArgMax: _arg_max,
    BatchNorm: _batch_norm,
    Clip: _clip,
    Concat: lambda e, node: _several(e, node, "Concat", axis=1),
    Conv2d: _conv,
    ConvTranspose2d: _conv_transpose,
    Div: lambda e, node: _several(e, node, "Div"),
    ELU: _elu,
    Exp: lambda e, node: _one(e, node, "Exp"),
    GELU: _gelu,
    GlobalAvgPool2d: lambda e, node: _map(e, node, "GlobalAveragePool"),
    HardSigmoid: _hard_sigmoid,
    HardSwish: _hard_swish,
    InstanceNorm: _instance_norm,
    LeakyReLU: _leaky_relu,
    Linear: _linear,
    Log: lambda e, node: _one(e, node, "Log"),
    Maximum: lambda e, node: _several(e, node, "Max"),
    MaxPool2d: _max_pool,
    Minimum: lambda e, node: _several(e, node, "Min"),
    Mish: _mish,
    Mul: lambda e, node: _several(e, node, "Mul"),
    PReLU: _prelu,
    Reciprocal: lambda e, node: _one(e, node, "Reciprocal"),
    ReLU: lambda e, node: _one(e, node, "Relu"),
    Reshape: _reshape,
    SELU: _elu,
    Sigmoid: lambda e, node: _one(e, node, "Sigmoid"),
    SiLU: _silu,
    Softmax: lambda e, node: _one(e, node, "Softmax", axis=1),
    LogSoftmax: lambda e, node: _one(e, node, "LogSoftmax", axis=1),
    GroupNorm: _group_norm,
    LayerNorm: _layer_norm,
    LocalResponseNorm: _response_norm,
    ChannelShuffle: _channel_shuffle,
    Channels: _channels,
    DepthToSpace: _blocks,
    SpaceToDepth: _blocks,
    Softplus: lambda e, node: _one(e, node, "Softplus"),
    Sqrt: lambda e, node: _one(e, node, "Sqrt"),
    Sub: lambda e, node: _several(e, node, "Sub"),
    Tanh: lambda e, node: _one(e, node, "Tanh"),
    Upsample: _upsample,
    AvgPool2d: _avg_pool,
    Pad2d: _pad,
    Slice: _slice,
}


def emit(emitter: Emitter, node: Node) -> None:
    """Add what computes a node of the graph.

    Raises
    ------
    ValueError
        There is nothing in ONNX, or in this table, for its layer.
    """
    of_layer = EMITTERS.get(type(node.layer))  # type: ignore[arg-type]
    if of_layer is None:
        raise ValueError(f"{type(node.layer).__name__} is not written as ONNX")
    of_layer(emitter, node)
