"""The gradient of a convolution in its input, as phases: a transposed convolution, and vice versa.

Output o of a convolution reads input  i = o s + t d - p  by tap t, so input i gets from output
o = (i + p - t d) / s  where that is whole. With g = gcd(s, d), the inputs  i = q s + origin  meet
only the taps t for which s divides  origin + p - t d: every (s / g)-th, each reading d / g
positions before the last.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import gcd

from facegen.nn.gemm_layers import ConvTranspose2d, GemmLayer
from facegen.nn.layer import Shape
from facegen.nn.phases import conv_phases
from facegen.nn.program import Axis, Phase
from facegen.nn.window import WindowAxis


def input_gradient_phases(layer: GemmLayer, x: Shape) -> tuple[Phase, ...]:
    """How the gradient of a layer's output becomes that of its input, of shape `x`."""
    if isinstance(layer, ConvTranspose2d):
        return conv_phases(layer.axes, x[:2])
    ys, xs = (_conv_gradient(axis, size) for axis, size in zip(layer.axes, x[:2], strict=True))
    return tuple(Phase(y, x) for y in ys for x in xs)


def _conv_gradient(axis: WindowAxis, size: int) -> Sequence[Axis]:
    stride, dilation = axis.stride, axis.dilation
    common = gcd(stride, dilation)
    axes = []
    for origin in range(min(stride, size)):
        reach = origin + axis.pad_front
        firsts = (t for t in range(stride // common) if (reach - t * dilation) % stride == 0)
        first = next(firsts, axis.kernel)
        taps = max(0, -(-(axis.kernel - first) * common // stride))
        axes.append(
            Axis(
                out=-(-(size - origin) // stride),
                step=1,
                dir=-(dilation // common),
                base=(reach - first * dilation) // stride if taps else 0,
                taps=taps,
                first_tap=first if taps else 0,
                tap_step=stride // common,
                out_origin=origin,
                out_step=stride,
            )
        )
    return axes
