"""Rules of activations, pools, and what joins and moves maps."""

from __future__ import annotations

from facegen.nn.grad import steps
from facegen.nn.grad.rules.unit import Context, Unit, function_of
from facegen.nn.graph import Node
from facegen.nn.layers import Affine, Blocks, Channels, ChannelShuffle, LogSoftmax, MaxPool2d
from facegen.nn.resample import Resampling


def activation(c: Context, unit: Unit) -> None:
    c.add(steps.Activate(unit.name, unit.node.inputs[0], unit.output, *function_of(unit.node)))


def activation_gradient(c: Context, unit: Unit) -> None:
    dx, accumulate = c.gradient_to(unit.node.inputs[0])
    function, y = function_of(unit.node), unit.output
    kept = y if function[0] in steps.FROM_OUTPUT else unit.node.inputs[0]
    c.add(steps.ActivateGradient(f"{y} dx", kept, c.gradient(y), dx, *function, accumulate))


def prelu(c: Context, unit: Unit) -> None:
    n = unit.name
    c.add(steps.Prelu(n, unit.node.inputs[0], unit.output, f"{n}.slope"))


def prelu_gradient(c: Context, unit: Unit) -> None:
    n, (x,) = unit.name, unit.node.inputs
    dx, accumulate = c.gradient_to(x) if c.needs(x) else (None, False)
    dy, slope = c.gradient(unit.output), f"{n}.slope"
    c.add(steps.PreluGradient(f"{n} dx", x, dy, dx, slope, c.trains(n), accumulate))


def max_pool(c: Context, unit: Unit) -> None:
    c.add(steps.MaxPool(unit.name, unit.node.inputs[0], unit.output, *_window(unit.node)))


def max_pool_gradient(c: Context, unit: Unit) -> None:
    y, (x,) = unit.output, unit.node.inputs
    dx, accumulate = c.gradient_to(x)
    dy, window = c.gradient(y), _window(unit.node)
    c.add(steps.MaxPoolGradient(f"{y} dx", x, y, dy, dx, *window, accumulate))


def _window(node: Node) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int]]:
    assert isinstance(node.layer, MaxPool2d)
    y, x = node.layer.axes
    return (y.kernel, x.kernel), (y.stride, x.stride), (y.pad_front, x.pad_front)


def global_avg_pool(c: Context, unit: Unit) -> None:
    c.add(steps.GlobalAvgPool(unit.name, unit.node.inputs[0], unit.output))


def global_avg_pool_gradient(c: Context, unit: Unit) -> None:
    dx, accumulate = c.gradient_to(unit.node.inputs[0])
    dy = c.gradient(unit.output)
    c.add(steps.GlobalAvgPoolGradient(f"{unit.name} dx", dy, dx, accumulate))


def add(c: Context, unit: Unit) -> None:
    for i, x in enumerate(unit.node.inputs):
        if c.shape(x) != unit.node.shape:
            raise ValueError(f"no gradient of Add of two shapes: {unit.name}")
        channels = unit.node.shape.channels
        c.add(steps.Copy(f"{unit.name}[{i}]", x, unit.output, channels, accumulate=i > 0))


def add_gradient(c: Context, unit: Unit) -> None:
    for i, x in enumerate(unit.node.inputs):
        if not c.needs(x):
            continue
        dx, accumulate = c.gradient_to(x)
        dy, channels = c.gradient(unit.output), unit.node.shape.channels
        c.add(steps.Copy(f"{unit.name}[{i}] dx", dy, dx, channels, accumulate=accumulate))


def softmax(c: Context, unit: Unit) -> None:
    log = isinstance(unit.node.layer, LogSoftmax)
    c.add(steps.Softmax(unit.name, unit.node.inputs[0], unit.output, log))


def softmax_gradient(c: Context, unit: Unit) -> None:
    dx, accumulate = c.gradient_to(unit.node.inputs[0])
    y, log = unit.output, isinstance(unit.node.layer, LogSoftmax)
    c.add(steps.SoftmaxGradient(f"{y} dx", y, c.gradient(y), dx, log, accumulate))


def channels(c: Context, unit: Unit) -> None:
    layer, (x,) = unit.node.layer, unit.node.inputs
    assert isinstance(layer, Channels)
    c.add(steps.Copy(unit.name, x, unit.output, layer.count, first_x=layer.first))


def channels_gradient(c: Context, unit: Unit) -> None:
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


def shuffle(c: Context, unit: Unit) -> None:
    layer = unit.node.layer
    assert isinstance(layer, ChannelShuffle)
    c.add(steps.Shuffle(unit.name, unit.node.inputs[0], unit.output, layer.groups))


def shuffle_gradient(c: Context, unit: Unit) -> None:
    layer = unit.node.layer
    assert isinstance(layer, ChannelShuffle)
    dx, accumulate = c.gradient_to(unit.node.inputs[0])
    back = unit.node.shape.channels // layer.groups
    dy, name = c.gradient(unit.output), f"{unit.name} dx"
    c.add(steps.Shuffle(name, dy, dx, back, accumulate))


def rearrange(c: Context, unit: Unit) -> None:
    layer, (x,) = unit.node.layer, unit.node.inputs
    assert isinstance(layer, Blocks)
    c.add(steps.Rearrange(unit.name, x, unit.output, layer.block, layer.depth_first))


def rearrange_gradient(c: Context, unit: Unit) -> None:
    layer, (x,) = unit.node.layer, unit.node.inputs
    assert isinstance(layer, Blocks)
    dx, accumulate = c.gradient_to(x)
    dy, blocks = c.gradient(unit.output), (layer.block, layer.depth_first)
    c.add(steps.Rearrange(f"{unit.name} dx", dy, dx, *blocks, accumulate))


def concat(c: Context, unit: Unit) -> None:
    first = 0
    for i, x in enumerate(unit.node.inputs):
        channels = c.shape(x).channels
        c.add(steps.Copy(f"{unit.name}[{i}]", x, unit.output, channels, first_y=first))
        first += channels


def concat_gradient(c: Context, unit: Unit) -> None:
    first = 0
    for i, x in enumerate(unit.node.inputs):
        channels = c.shape(x).channels
        if c.needs(x):
            dx, accumulate = c.gradient_to(x)
            dy, name = c.gradient(unit.output), f"{unit.name}[{i}] dx"
            c.add(steps.Copy(name, dy, dx, channels, first_x=first, accumulate=accumulate))
        first += channels


def affine(c: Context, unit: Unit) -> None:
    layer = unit.node.layer
    assert isinstance(layer, Affine)
    x, channels = unit.node.inputs[0], unit.node.shape.channels
    c.add(steps.Copy(unit.name, x, unit.output, channels, scale=layer.scale, shift=layer.shift))


def affine_gradient(c: Context, unit: Unit) -> None:
    layer = unit.node.layer
    assert isinstance(layer, Affine)
    dx, accumulate = c.gradient_to(unit.node.inputs[0])
    dy, channels = c.gradient(unit.output), unit.node.shape.channels
    name = f"{unit.name} dx"
    c.add(steps.Copy(name, dy, dx, channels, scale=layer.scale, accumulate=accumulate))


def resample(c: Context, unit: Unit) -> None:
    layer, (x,) = unit.node.layer, unit.node.inputs
    assert isinstance(layer, Resampling)
    c.add(steps.Resample(unit.name, x, unit.output, *layer.taps(c.shape(x))))


def resample_gradient(c: Context, unit: Unit) -> None:
    layer, (x,) = unit.node.layer, unit.node.inputs
    assert isinstance(layer, Resampling)
    dx, accumulate = c.gradient_to(x)
    dy, taps = c.gradient(unit.output), layer.taps(c.shape(x))
    c.add(steps.ResampleGradient(f"{unit.name} dx", dy, dx, *taps, accumulate))
