"""The table of layers: each layer of ours, and the ONNX nodes for it.

Weights keep their canonical names, so that a file reads back to the same network.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

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
    Sign,
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
from facegen.onnx_files.emit import activations, arithmetic, forms, norms, windows
from facegen.onnx_files.emit.nodes import on_map, one, several
from facegen.onnx_files.emitter import Emitter

EMITTERS: Mapping[type[Layer], Callable[[Emitter, Node], None]] = {
    Abs: lambda e, node: one(e, node, "Abs"),
    Add: lambda e, node: several(e, node, "Add"),
    Affine: arithmetic.affine,
    ArgMax: arithmetic.arg_max,
    BatchNorm: norms.batch_norm,
    Clip: activations.clip,
    Concat: lambda e, node: several(e, node, "Concat", axis=1),
    Conv2d: windows.conv,
    ConvTranspose2d: windows.conv_transpose,
    Div: lambda e, node: several(e, node, "Div"),
    ELU: activations.elu,
    Exp: lambda e, node: one(e, node, "Exp"),
    GELU: activations.gelu,
    GlobalAvgPool2d: lambda e, node: on_map(e, node, "GlobalAveragePool"),
    HardSigmoid: activations.hard_sigmoid,
    HardSwish: activations.hard_swish,
    InstanceNorm: norms.instance_norm,
    LeakyReLU: activations.leaky_relu,
    Linear: windows.linear,
    Log: lambda e, node: one(e, node, "Log"),
    Maximum: lambda e, node: several(e, node, "Max"),
    MaxPool2d: windows.max_pool,
    Minimum: lambda e, node: several(e, node, "Min"),
    Mish: activations.mish,
    Mul: lambda e, node: several(e, node, "Mul"),
    PReLU: activations.prelu,
    Reciprocal: lambda e, node: one(e, node, "Reciprocal"),
    ReLU: lambda e, node: one(e, node, "Relu"),
    Reshape: forms.reshape,
    SELU: activations.elu,
    Sigmoid: lambda e, node: one(e, node, "Sigmoid"),
    Sign: activations.sign,
    SiLU: activations.silu,
    Softmax: lambda e, node: one(e, node, "Softmax", axis=1),
    LogSoftmax: lambda e, node: one(e, node, "LogSoftmax", axis=1),
    GroupNorm: norms.group_norm,
    LayerNorm: norms.layer_norm,
    LocalResponseNorm: norms.response_norm,
    ChannelShuffle: forms.channel_shuffle,
    Channels: forms.channels,
    DepthToSpace: forms.blocks,
    SpaceToDepth: forms.blocks,
    Softplus: lambda e, node: one(e, node, "Softplus"),
    Sqrt: lambda e, node: one(e, node, "Sqrt"),
    Sub: lambda e, node: several(e, node, "Sub"),
    Tanh: lambda e, node: one(e, node, "Tanh"),
    Upsample: forms.upsample,
    AvgPool2d: windows.avg_pool,
    Pad2d: forms.pad,
    Slice: forms.slice_,
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
