"""Convolutions as phases of an indirect GEMM.

A convolution is one phase. A transposed convolution of stride s is up to s * s ordinary ones: the
outputs o = q * s + origin of one phase meet only the taps r = first, first + s, ... with
(origin + pad - r) divisible by s, and read input  (o + pad - r) / s.  So no zero is ever inserted
or multiplied.
"""

from __future__ import annotations

from collections.abc import Sequence

from facegen.nn.program import Axis, Phase
from facegen.nn.window import WindowAxis

# A transposed convolution of stride s has s * s phases: strides go up to 256 x 256.
MOST_PHASES = 2**16


def conv_phases(axes: Sequence[WindowAxis], out: tuple[int, int]) -> tuple[Phase, ...]:
    """The one phase of a convolution with `out` = (height, width) outputs."""
    y, x = (_conv_axis(axis, size) for axis, size in zip(axes, out, strict=True))
    return (Phase(y, x),)


def conv_transpose_phases(axes: Sequence[WindowAxis], out: tuple[int, int]) -> tuple[Phase, ...]:
    """The phases of a transposed convolution with `out` = (height, width) outputs.

    They cover every output once, also those that no tap reaches (phases with 0 taps): these are
    the bias alone.
    """
    count = min(axes[0].stride, out[0]) * min(axes[1].stride, out[1])
    if count > MOST_PHASES:
        strides = axes[0].stride, axes[1].stride
        raise ValueError(
            f"a transposed convolution of stride {strides} has {count} phases, more "
            f"than {MOST_PHASES}"
        )
    ys, xs = (_conv_transpose_axes(axis, size) for axis, size in zip(axes, out, strict=True))
    return tuple(Phase(y, x) for y in ys for x in xs)


def _conv_axis(axis: WindowAxis, out: int) -> Axis:
    return Axis(
        out=out,
        step=axis.stride,
        dir=axis.dilation,
        base=-axis.pad_front,
        taps=axis.kernel,
        first_tap=0,
        tap_step=1,
        out_origin=0,
        out_step=1,
    )


def _conv_transpose_axes(axis: WindowAxis, out: int) -> list[Axis]:
    axes = []
    for origin in range(min(axis.stride, out)):
        base, first_tap = divmod(origin + axis.pad_front, axis.stride)
        taps = max(0, -(-(axis.kernel - first_tap) // axis.stride))
        axes.append(
            Axis(
                out=-(-(out - origin) // axis.stride),
                step=1,
                dir=-1,
                base=base,
                taps=taps,
                first_tap=first_tap if taps else 0,
                tap_step=axis.stride,
                out_origin=origin,
                out_step=axis.stride,
            )
        )
    return axes
