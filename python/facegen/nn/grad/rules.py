"""A rule a layer: the steps of its forward pass, and those of its gradient.

An activation behind a sum of products or a norm, which alone reads it, is part of that layer's
steps: its derivative is told from what it gives, so what it was given need not be kept.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from facegen.nn.activations import ELU, Activation, LeakyReLU, PReLU
from facegen.nn.gemm_layers import Conv2d, ConvTranspose2d, GemmLayer, Linear, Part
from facegen.nn.grad import steps
from facegen.nn.grad.phases import input_gradient_phases
from facegen.nn.graph import Node
from facegen.nn.layer import Layer, Shape
from facegen.nn.layers import (
    Add,
    Affine,
    BatchNorm,
    Blocks,
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
from facegen.nn.resample import AvgPool2d, Pad2d, Resampling, Slice, Upsample


@dataclass(frozen=True)
class Unit:
    """A layer with the activation that is fused with it."""

    node: Node
    activation: Node | None = None

    @property
    def name(self) -> str:
        return self.node.name if self.activation is None else f"{self.node.name}+{self.output}"

    @property
    def output(self) -> str:
        return (self.activation or self.node).name

    @property
    def function(self) -> tuple[str, tuple[float, float]]:
        """The activation, as steps have it."""
        return ("none", (0.0, 0.0)) if self.activation is None else _function(self.activation)


class Context(Protocol):
    """What rules see of the table in the making."""

    def shape(self, value: str) -> Shape: ...

    def add(self, step: steps.TrainingStep) -> None:
        """Append a step."""

    def gradient(self, value: str) -> str:
        """The gradient of the loss in a value, which has been written."""

    def gradient_to(self, value: str) -> tuple[str, bool]:
        """Where a value's gradient goes, and whether to add to what is there."""

    def needs(self, value: str) -> bool:
        """Whether anything that is trained depends on a value's gradient."""

    def trains(self, layer: str) -> bool:
        """Whether the parameters of a layer are trained."""

    def keeps_statistics(self, layer: str) -> bool:
        """Whether a batch norm takes its stored statistics and leaves them as they are."""

    def own(self, name: str, shape: Shape) -> str:
        """A new value beside those of the graph."""

    def statistics(self, name: str, floats: int) -> str:
        """A new array of the whole batch."""

    @property
    def direct_only(self) -> bool:
        """No algorithm of lower complexity than the definition's."""


Emit = Callable[[Context, Unit], None]


class Rule(NamedTuple):
    forward: Emit
    backward: Emit


def _gemm(c: Context, unit: Unit) -> None:
    layer, node = unit.node.layer, unit.node
    assert isinstance(layer, GemmLayer)
    activation, numbers = unit.function
    x = node.inputs[0]
    for part in _parts(layer):
        c.add(
            steps.Gemm(
                name=unit.name + _numbered(layer, part),
                x=x,
                y=unit.output,
                phases=layer.phases(c.shape(x)),
                kernel_size=layer.kernel_size,
                weight=f"{node.name}.weight",
                bias=f"{node.name}.bias" if layer.bias else None,
                activation=activation,
                numbers=numbers,
                direct_only=c.direct_only,
                part=part,
            )
        )


def _gemm_gradient(c: Context, unit: Unit) -> None:
    layer, node = unit.node.layer, unit.node
    assert isinstance(layer, GemmLayer)
    (x,) = node.inputs
    dy = _before_activation(c, unit)
    shape, weight = c.shape(x), f"{node.name}.weight"
    if c.trains(node.name):
        for part in _parts(layer):
            c.add(
                steps.WeightGradient(
                    name=f"{node.name} dw{_numbered(layer, part)}",
                    x=x,
                    dy=dy,
                    phases=layer.phases(shape),
                    kernel_size=layer.kernel_size,
                    weight=weight,
                    part=part,
                )
            )
        _bias_gradient(c, node, dy)
    if c.needs(x):
        dx, accumulate = c.gradient_to(x)
        for part in _parts(layer):
            c.add(
                steps.Gemm(
                    name=f"{node.name} dx{_numbered(layer, part)}",
                    x=dy,
                    y=dx,
                    phases=input_gradient_phases(layer, shape),
                    kernel_size=layer.kernel_size,
                    weight=weight,
                    transposed=True,
                    accumulate=accumulate,
                    direct_only=c.direct_only,
                    part=part,
                )
            )


def _bias_gradient(c: Context, node: Node, dy: str) -> None:
    if isinstance(node.layer, GemmLayer) and node.layer.bias:
        c.add(steps.BiasGradient(f"{node.name} db", dy, f"{node.name}.bias"))


def _parts(layer: GemmLayer) -> tuple[Part | None, ...]:
    return layer.parts if layer.groups > 1 else (None,)


def _numbered(layer: GemmLayer, part: Part | None) -> str:
    return "" if part is None else f"[{layer.parts.index(part)}]"


def _depthwise(c: Context, unit: Unit) -> None:
    node = unit.node
    layer, window = _depthwise_window(node)
    bias = f"{node.name}.bias" if layer.bias else None
    weight = f"{node.name}.weight"
    c.add(steps.Depthwise(unit.name, node.inputs[0], unit.output, *window, weight, bias))


def _depthwise_gradient(c: Context, unit: Unit) -> None:
    node, (x,) = unit.node, unit.node.inputs
    _, window = _depthwise_window(node)
    dy, weight = c.gradient(unit.output), f"{node.name}.weight"
    if c.trains(node.name):
        name = f"{node.name} dw"
        c.add(steps.DepthwiseWeightGradient(name, x, dy, *window, weight))
        _bias_gradient(c, node, dy)
    if c.needs(x):
        dx, accumulate = c.gradient_to(x)
        name = f"{node.name} dx"
        c.add(steps.DepthwiseGradient(name, dy, dx, *window, weight, accumulate))


_Pair = tuple[int, int]


def _depthwise_window(node: Node) -> tuple[GemmLayer, tuple[_Pair, _Pair, _Pair, _Pair]]:
    """The layer, and its kernel, stride, dilation and padding."""
    assert isinstance(node.layer, GemmLayer)
    y, x = node.layer.axes
    return node.layer, (
        (y.kernel, x.kernel),
        (y.stride, x.stride),
        (y.dilation, x.dilation),
        (y.pad_front, x.pad_front),
    )


def _before_activation(c: Context, unit: Unit) -> str:
    """The gradient in what the unit's activation reads, in place of that in its output."""
    dy = c.gradient(unit.output)
    if unit.activation is not None:
        name = f"{unit.activation.name} dx"
        c.add(steps.ActivateGradient(name, unit.output, dy, dy, *unit.function))
    return dy


def _activation(c: Context, unit: Unit) -> None:
    c.add(steps.Activate(unit.name, unit.node.inputs[0], unit.output, *_function(unit.node)))


def _activation_gradient(c: Context, unit: Unit) -> None:
    dx, accumulate = c.gradient_to(unit.node.inputs[0])
    function, y = _function(unit.node), unit.output
    kept = y if function[0] in steps.FROM_OUTPUT else unit.node.inputs[0]
    c.add(steps.ActivateGradient(f"{y} dx", kept, c.gradient(y), dx, *function, accumulate))


def _function(node: Node) -> tuple[str, tuple[float, float]]:
    assert isinstance(node.layer, Activation)
    return node.layer.kind, node.layer.numbers


def _prelu(c: Context, unit: Unit) -> None:
    n = unit.name
    c.add(steps.Prelu(n, unit.node.inputs[0], unit.output, f"{n}.slope"))


def _prelu_gradient(c: Context, unit: Unit) -> None:
    n, (x,) = unit.name, unit.node.inputs
    dx, accumulate = c.gradient_to(x) if c.needs(x) else (None, False)
    dy, slope = c.gradient(unit.output), f"{n}.slope"
    c.add(steps.PreluGradient(f"{n} dx", x, dy, dx, slope, c.trains(n), accumulate))


def _batch_norm(c: Context, unit: Unit) -> None:
    layer, n, (x,) = unit.node.layer, unit.node.name, unit.node.inputs
    assert isinstance(layer, BatchNorm)
    activation, numbers = unit.function
    c.add(
        steps.BatchNorm(
            name=unit.name,
            x=x,
            y=unit.output,
            gamma=f"{n}.gamma",
            beta=f"{n}.beta",
            mean=f"{n}.mean",
            var=f"{n}.var",
            statistics=c.statistics(f"{n}.statistics", 3 * layer.channels),
            eps=layer.eps,
            stored=c.keeps_statistics(n),
            activation=activation,
            numbers=numbers,
        )
    )


def _batch_norm_gradient(c: Context, unit: Unit) -> None:
    n, (x,) = unit.node.name, unit.node.inputs
    dx, accumulate = c.gradient_to(x) if c.needs(x) else (None, False)
    c.add(
        steps.BatchNormGradient(
            f"{n} dx",
            x,
            x if unit.activation is None else unit.output,
            c.gradient(unit.output),
            dx,
            f"{n}.gamma",
            f"{n}.beta",
            f"{n}.statistics",
            c.keeps_statistics(n),
            c.trains(n),
            *unit.function,
            accumulate,
        )
    )


def _instance_norm(c: Context, unit: Unit) -> None:
    layer, n, (x,) = unit.node.layer, unit.node.name, unit.node.inputs
    assert isinstance(layer, InstanceNorm | GroupNorm)
    statistics = c.own(f"{n}.statistics", Shape(1, 1, 2 * layer.channels))
    gamma, beta = f"{n}.gamma", f"{n}.beta"
    c.add(
        steps.InstanceNorm(
            unit.name,
            x,
            unit.output,
            gamma,
            beta,
            statistics,
            layer.eps,
            _groups(layer),
            *unit.function,
        )
    )


def _groups(layer: InstanceNorm | GroupNorm) -> int:
    return layer.groups if isinstance(layer, GroupNorm) else layer.channels


def _instance_norm_gradient(c: Context, unit: Unit) -> None:
    n, (x,) = unit.node.name, unit.node.inputs
    assert isinstance(unit.node.layer, InstanceNorm | GroupNorm)
    dx, accumulate = c.gradient_to(x) if c.needs(x) else (None, False)
    c.add(
        steps.InstanceNormGradient(
            f"{n} dx",
            x,
            x if unit.activation is None else unit.output,
            c.gradient(unit.output),
            dx,
            f"{n}.gamma",
            f"{n}.beta",
            f"{n}.statistics",
            _groups(unit.node.layer),
            c.trains(n),
            *unit.function,
            accumulate,
        )
    )


def _layer_norm(c: Context, unit: Unit) -> None:
    layer, n, (x,) = unit.node.layer, unit.node.name, unit.node.inputs
    assert isinstance(layer, LayerNorm)
    statistics = c.own(f"{n}.statistics", c.shape(x)._replace(channels=2))
    c.add(
        steps.LayerNorm(n, x, unit.output, f"{n}.gamma", f"{n}.beta", statistics, layer.eps)
    )


def _layer_norm_gradient(c: Context, unit: Unit) -> None:
    n, (x,) = unit.node.name, unit.node.inputs
    dx, accumulate = c.gradient_to(x) if c.needs(x) else (None, False)
    c.add(
        steps.LayerNormGradient(
            f"{n} dx",
            x,
            c.gradient(unit.output),
            dx,
            f"{n}.gamma",
            f"{n}.beta",
            f"{n}.statistics",
            c.trains(n),
            accumulate,
        )
    )


def _max_pool(c: Context, unit: Unit) -> None:
    c.add(steps.MaxPool(unit.name, unit.node.inputs[0], unit.output, *_window(unit.node)))


def _max_pool_gradient(c: Context, unit: Unit) -> None:
    y, (x,) = unit.output, unit.node.inputs
    dx, accumulate = c.gradient_to(x)
    dy, window = c.gradient(y), _window(unit.node)
    c.add(steps.MaxPoolGradient(f"{y} dx", x, y, dy, dx, *window, accumulate))


def _window(node: Node) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int]]:
    assert isinstance(node.layer, MaxPool2d)
    y, x = node.layer.axes
    return (y.kernel, x.kernel), (y.stride, x.stride), (y.pad_front, x.pad_front)


def _global_avg_pool(c: Context, unit: Unit) -> None:
    c.add(steps.GlobalAvgPool(unit.name, unit.node.inputs[0], unit.output))


def _global_avg_pool_gradient(c: Context, unit: Unit) -> None:
    dx, accumulate = c.gradient_to(unit.node.inputs[0])
    dy = c.gradient(unit.output)
    c.add(steps.GlobalAvgPoolGradient(f"{unit.name} dx", dy, dx, accumulate))


def _add(c: Context, unit: Unit) -> None:
    for i, x in enumerate(unit.node.inputs):
        if c.shape(x) != unit.node.shape:
            raise ValueError(f"no gradient of Add of two shapes: {unit.name}")
        channels = unit.node.shape.channels
        c.add(steps.Copy(f"{unit.name}[{i}]", x, unit.output, channels, accumulate=i > 0))


def _add_gradient(c: Context, unit: Unit) -> None:
    for i, x in enumerate(unit.node.inputs):
        if not c.needs(x):
            continue
        dx, accumulate = c.gradient_to(x)
        dy, channels = c.gradient(unit.output), unit.node.shape.channels
        c.add(steps.Copy(f"{unit.name}[{i}] dx", dy, dx, channels, accumulate=accumulate))


def _mul(c: Context, unit: Unit) -> None:
    x, other = _spread_last(c, unit)
    c.add(steps.Multiply(unit.name, x, other, unit.output))


def _mul_gradient(c: Context, unit: Unit) -> None:
    x, other = _spread_last(c, unit)
    dy = c.gradient(unit.output)
    if c.needs(x):
        dx, accumulate = c.gradient_to(x)
        c.add(steps.Multiply(f"{unit.name}[0] dx", dy, other, dx, accumulate))
    if c.needs(other):
        dx, accumulate = c.gradient_to(other)
        spread = c.shape(other) != unit.node.shape
        name = f"{unit.name}[1] dx"
        if spread:
            c.add(steps.MultiplySum(name, x, dy, dx, accumulate))
        else:
            c.add(steps.Multiply(name, dy, x, dx, accumulate))


def _spread_last(c: Context, unit: Unit) -> tuple[str, str]:
    """The factors, one of a single pixel or channel behind the other."""
    x, other = unit.node.inputs
    if c.shape(x) != unit.node.shape:
        x, other = other, x
    shape, whole = c.shape(other), unit.node.shape
    if shape not in (whole, whole._replace(channels=1), Shape(1, 1, whole.channels)):
        raise ValueError(f"no gradient of Mul of {whole} and {shape}: {unit.name}")
    return x, other


def _softmax(c: Context, unit: Unit) -> None:
    log = isinstance(unit.node.layer, LogSoftmax)
    c.add(steps.Softmax(unit.name, unit.node.inputs[0], unit.output, log))


def _softmax_gradient(c: Context, unit: Unit) -> None:
    dx, accumulate = c.gradient_to(unit.node.inputs[0])
    y, log = unit.output, isinstance(unit.node.layer, LogSoftmax)
    c.add(steps.SoftmaxGradient(f"{y} dx", y, c.gradient(y), dx, log, accumulate))


def _channels(c: Context, unit: Unit) -> None:
    layer, (x,) = unit.node.layer, unit.node.inputs
    assert isinstance(layer, Channels)
    c.add(steps.Copy(unit.name, x, unit.output, layer.count, first_x=layer.first))


def _channels_gradient(c: Context, unit: Unit) -> None:
    layer, (x,) = unit.node.layer, unit.node.inputs
    assert isinstance(layer, Channels)
    dx, accumulate = c.gradient_to(x)
    c.add(
        steps.Copy(
            f"{unit.name} dx",
            c.gradient(unit.output),
            dx,
            layer.count,
            first_y=layer.first,
            accumulate=accumulate,
            zero_rest=not accumulate,
        )
    )


def _shuffle(c: Context, unit: Unit) -> None:
    layer = unit.node.layer
    assert isinstance(layer, ChannelShuffle)
    c.add(steps.Shuffle(unit.name, unit.node.inputs[0], unit.output, layer.groups))


def _shuffle_gradient(c: Context, unit: Unit) -> None:
    layer = unit.node.layer
    assert isinstance(layer, ChannelShuffle)
    dx, accumulate = c.gradient_to(unit.node.inputs[0])
    back = unit.node.shape.channels // layer.groups
    dy, name = c.gradient(unit.output), f"{unit.name} dx"
    c.add(steps.Shuffle(name, dy, dx, back, accumulate))


def _rearrange(c: Context, unit: Unit) -> None:
    layer, (x,) = unit.node.layer, unit.node.inputs
    assert isinstance(layer, Blocks)
    c.add(steps.Rearrange(unit.name, x, unit.output, layer.block, layer.depth_first))


def _rearrange_gradient(c: Context, unit: Unit) -> None:
    layer, (x,) = unit.node.layer, unit.node.inputs
    assert isinstance(layer, Blocks)
    dx, accumulate = c.gradient_to(x)
    dy, blocks = c.gradient(unit.output), (layer.block, layer.depth_first)
    c.add(steps.Rearrange(f"{unit.name} dx", dy, dx, *blocks, accumulate))


def _concat(c: Context, unit: Unit) -> None:
    first = 0
    for i, x in enumerate(unit.node.inputs):
        channels = c.shape(x).channels
        c.add(steps.Copy(f"{unit.name}[{i}]", x, unit.output, channels, first_y=first))
        first += channels


def _concat_gradient(c: Context, unit: Unit) -> None:
    first = 0
    for i, x in enumerate(unit.node.inputs):
        channels = c.shape(x).channels
        if c.needs(x):
            dx, accumulate = c.gradient_to(x)
            dy, name = c.gradient(unit.output), f"{unit.name}[{i}] dx"
            c.add(steps.Copy(name, dy, dx, channels, first_x=first, accumulate=accumulate))
        first += channels


def _affine(c: Context, unit: Unit) -> None:
    layer = unit.node.layer
    assert isinstance(layer, Affine)
    x, channels = unit.node.inputs[0], unit.node.shape.channels
    c.add(steps.Copy(unit.name, x, unit.output, channels, scale=layer.scale, shift=layer.shift))


def _affine_gradient(c: Context, unit: Unit) -> None:
    layer = unit.node.layer
    assert isinstance(layer, Affine)
    dx, accumulate = c.gradient_to(unit.node.inputs[0])
    dy, channels = c.gradient(unit.output), unit.node.shape.channels
    name = f"{unit.name} dx"
    c.add(steps.Copy(name, dy, dx, channels, scale=layer.scale, accumulate=accumulate))


def _resample(c: Context, unit: Unit) -> None:
    layer, (x,) = unit.node.layer, unit.node.inputs
    assert isinstance(layer, Resampling)
    c.add(steps.Resample(unit.name, x, unit.output, *layer.taps(c.shape(x))))


def _resample_gradient(c: Context, unit: Unit) -> None:
    layer, (x,) = unit.node.layer, unit.node.inputs
    assert isinstance(layer, Resampling)
    dx, accumulate = c.gradient_to(x)
    dy, taps = c.gradient(unit.output), layer.taps(c.shape(x))
    c.add(steps.ResampleGradient(f"{unit.name} dx", dy, dx, *taps, accumulate))


RULES: dict[type[Layer], Rule] = {
    **dict.fromkeys((Conv2d, ConvTranspose2d, Linear), Rule(_gemm, _gemm_gradient)),
    BatchNorm: Rule(_batch_norm, _batch_norm_gradient),
    **dict.fromkeys((InstanceNorm, GroupNorm), Rule(_instance_norm, _instance_norm_gradient)),
    LayerNorm: Rule(_layer_norm, _layer_norm_gradient),
    PReLU: Rule(_prelu, _prelu_gradient),
    **dict.fromkeys((Softmax, LogSoftmax), Rule(_softmax, _softmax_gradient)),
    MaxPool2d: Rule(_max_pool, _max_pool_gradient),
    GlobalAvgPool2d: Rule(_global_avg_pool, _global_avg_pool_gradient),
    Add: Rule(_add, _add_gradient),
    Mul: Rule(_mul, _mul_gradient),
    Channels: Rule(_channels, _channels_gradient),
    ChannelShuffle: Rule(_shuffle, _shuffle_gradient),
    **dict.fromkeys((DepthToSpace, SpaceToDepth), Rule(_rearrange, _rearrange_gradient)),
    Concat: Rule(_concat, _concat_gradient),
    Affine: Rule(_affine, _affine_gradient),
    **dict.fromkeys((Upsample, AvgPool2d, Pad2d, Slice), Rule(_resample, _resample_gradient)),
}
_ACTIVATION = Rule(_activation, _activation_gradient)
_DEPTHWISE = Rule(_depthwise, _depthwise_gradient)
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
