"""Rules of the layers of sums of products, and of products of maps."""

from __future__ import annotations

from facegen.nn.gemm_layers import GemmLayer, Part
from facegen.nn.grad import steps
from facegen.nn.grad.phases import input_gradient_phases
from facegen.nn.grad.rules.unit import Context, Unit, before_activation
from facegen.nn.graph import Node
from facegen.nn.layer import Shape


def gemm(c: Context, unit: Unit) -> None:
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


def gemm_gradient(c: Context, unit: Unit) -> None:
    layer, node = unit.node.layer, unit.node
    assert isinstance(layer, GemmLayer)
    (x,) = node.inputs
    dy = before_activation(c, unit)
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


def depthwise(c: Context, unit: Unit) -> None:
    node = unit.node
    layer, window = _depthwise_window(node)
    bias = f"{node.name}.bias" if layer.bias else None
    weight = f"{node.name}.weight"
    c.add(steps.Depthwise(unit.name, node.inputs[0], unit.output, *window, weight, bias))


def depthwise_gradient(c: Context, unit: Unit) -> None:
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


def mul(c: Context, unit: Unit) -> None:
    x, other = _spread_last(c, unit)
    c.add(steps.Multiply(unit.name, x, other, unit.output))


def mul_gradient(c: Context, unit: Unit) -> None:
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
