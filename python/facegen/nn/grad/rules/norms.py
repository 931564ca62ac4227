"""Rules of norms."""

from __future__ import annotations

from facegen.nn.grad import steps
from facegen.nn.grad.rules.unit import Context, Unit
from facegen.nn.layer import Shape
from facegen.nn.layers import BatchNorm, GroupNorm, InstanceNorm, LayerNorm


def batch_norm(c: Context, unit: Unit) -> None:
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


def batch_norm_gradient(c: Context, unit: Unit) -> None:
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


def instance_norm(c: Context, unit: Unit) -> None:
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


def instance_norm_gradient(c: Context, unit: Unit) -> None:
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


def layer_norm(c: Context, unit: Unit) -> None:
    layer, n, (x,) = unit.node.layer, unit.node.name, unit.node.inputs
    assert isinstance(layer, LayerNorm)
    statistics = c.own(f"{n}.statistics", c.shape(x)._replace(channels=2))
    c.add(
        steps.LayerNorm(n, x, unit.output, f"{n}.gamma", f"{n}.beta", statistics, layer.eps)
    )


def layer_norm_gradient(c: Context, unit: Unit) -> None:
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
