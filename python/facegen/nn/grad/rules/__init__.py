"""A rule a layer: the steps of its forward pass, and those of its gradient.

An activation behind a sum of products or a norm, which alone reads it, is part of that layer's
steps: its derivative is told from what it gives, so what it was given need not be kept.
"""

from __future__ import annotations

from facegen.nn.activations import ELU, Activation, LeakyReLU, PReLU
from facegen.nn.gemm_layers import Conv2d, ConvTranspose2d, GemmLayer, Linear
from facegen.nn.grad import steps
from facegen.nn.grad.rules import maps, norms, products
from facegen.nn.grad.rules.unit import Context, Rule, Unit
from facegen.nn.graph import Node
from facegen.nn.layer import Layer
from facegen.nn.layers import (
    Add,
    Affine,
    BatchNorm,
    Channels,
    ChannelShuffle,
    Concat,
    DepthToSpace,
    GlobalAvgPool2d,
    GroupNorm,
    InstanceNorm,
    LayerNorm,
    LogSoftmax,
    MaxPool2d,
    Mul,
    Softmax,
    SpaceToDepth,
)
from facegen.nn.resample import AvgPool2d, Pad2d, Slice, Upsample

__all__ = [
    "FUSING",
    "RULES",
    "Context",
    "Rule",
    "Unit",
    "find_rule",
    "fuses",
    "is_told_from_output",
]

RULES: dict[type[Layer], Rule] = {
    **dict.fromkeys((Conv2d, ConvTranspose2d, Linear), Rule(products.gemm, products.gemm_gradient)),
    BatchNorm: Rule(norms.batch_norm, norms.batch_norm_gradient),
    InstanceNorm: Rule(norms.instance_norm, norms.instance_norm_gradient),
    GroupNorm: Rule(norms.instance_norm, norms.instance_norm_gradient),
    LayerNorm: Rule(norms.layer_norm, norms.layer_norm_gradient),
    PReLU: Rule(maps.prelu, maps.prelu_gradient),
    **dict.fromkeys((Softmax, LogSoftmax), Rule(maps.softmax, maps.softmax_gradient)),
    MaxPool2d: Rule(maps.max_pool, maps.max_pool_gradient),
    GlobalAvgPool2d: Rule(maps.global_avg_pool, maps.global_avg_pool_gradient),
    Add: Rule(maps.add, maps.add_gradient),
    Mul: Rule(products.mul, products.mul_gradient),
    Channels: Rule(maps.channels, maps.channels_gradient),
    ChannelShuffle: Rule(maps.shuffle, maps.shuffle_gradient),
    **dict.fromkeys((DepthToSpace, SpaceToDepth), Rule(maps.rearrange, maps.rearrange_gradient)),
    Concat: Rule(maps.concat, maps.concat_gradient),
    Affine: Rule(maps.affine, maps.affine_gradient),
    **dict.fromkeys(
        (Upsample, AvgPool2d, Pad2d, Slice), Rule(maps.resample, maps.resample_gradient)
    ),
}

_ACTIVATION = Rule(maps.activation, maps.activation_gradient)

_DEPTHWISE = Rule(products.depthwise, products.depthwise_gradient)

# Layers that an activation behind them is fused with.
FUSING = (Conv2d, ConvTranspose2d, Linear, BatchNorm, InstanceNorm, GroupNorm)


def fuses(layer: Layer | None) -> bool:
    """Whether an activation that is told from its output may be part of a layer's steps."""
    return isinstance(layer, FUSING) and not _is_depthwise(layer)


def is_told_from_output(layer: Layer | None) -> bool:
    """Whether a layer is an activation whose derivative is told from its output."""
    if isinstance(layer, LeakyReLU) and layer.slope < 0:
        return False
    if isinstance(layer, ELU) and min(layer.alpha, layer.scale) <= 0:
        return False
    return isinstance(layer, Activation) and layer.kind in steps.FROM_OUTPUT


def find_rule(node: Node) -> Rule:
    """The rule of a node's layer; ValueError where there is none."""
    layer = node.layer
    if is_told_from_output(layer) or (
        isinstance(layer, Activation) and layer.kind in steps.FROM_INPUT
    ):
        return _ACTIVATION
    if _is_depthwise(layer):
        return _DEPTHWISE
    rule = RULES.get(type(layer)) if layer is not None else None
    if rule is None:
        raise ValueError(f"no gradient of {layer}: layer {node.name!r} cannot be trained")
    return rule


def _is_depthwise(layer: Layer | None) -> bool:
    return isinstance(layer, GemmLayer) and layer.is_depthwise
