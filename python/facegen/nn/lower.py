"""Lowering: a graph and its weights become a flat program of a few fused steps.

    graph --rewrite--> graph --fuse--> drafts --place--> views, buffers --> Program --fit--> Program
                                         +-- constants (folded in float64, rounded once)

What every device can do is done here; ``fit`` merges more, by asking one device.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import DTypeLike

from facegen.nn.constants import draft_constants
from facegen.nn.fit import fit
from facegen.nn.fuse import fuse
from facegen.nn.gemm_layers import GemmLayer
from facegen.nn.graph import Graph
from facegen.nn.layer import Shape
from facegen.nn.layers import ArgMax as ArgMaxLayer
from facegen.nn.layers import (
    Blocks,
    ChannelShuffle,
    GlobalAvgPool2d,
    GroupNorm,
    LocalResponseNorm,
    LogSoftmax,
    MaxPool2d,
    StatisticsNorm,
)
from facegen.nn.layers import LayerNorm as LayerNormLayer
from facegen.nn.layers import Softmax as SoftmaxLayer
from facegen.nn.placement import Placement, place_values
from facegen.nn.program import (
    ALGORITHM_NAMES,
    ArgMax,
    Depthwise,
    Epilogue,
    Gemm,
    GlobalAvgPool,
    InstanceNorm,
    LayerNorm,
    Lrn,
    MaxPool,
    Pointwise,
    Program,
    Rearrange,
    Resample,
    Shuffle,
    Softmax,
    Step,
    View,
)
from facegen.nn.resample import Resampling
from facegen.nn.rewrite import rewrite
from facegen.nn.step_draft import StepDraft
from facegen.nn.target import find_target


def lower(
    graph: Graph,
    weights: Mapping[str, np.ndarray] | None,
    algorithm: str = "auto",
    *,
    device: str | None = None,
    precision: str = "float32",
    dtype: DTypeLike = np.float32,
) -> Program:
    """Lower `graph` to the program that an engine runs.

    Parameters
    ----------
    graph
        With at least one output.
    weights
        Every entry of ``graph.parameters``, in its shape; None gives the structure alone (to
        print it), without constants.
    algorithm
        Of the convolutions and linear layers: "auto", "direct" (whatever multiplies as the
        definition does), or one that :mod:`facegen.kernels.algorithms` lists, which then has to
        take every one of them.
    device
        Fit the program to this kind of device, which need not be here: see
        :func:`facegen.nn.target.find_target`. ``print(lower(graph, None, device="cuda"))`` shows
        the kernel of every step. None: it runs anywhere;
        :class:`facegen.engine.Runner` fits it.
    precision
        That it is fitted for: see :class:`facegen.engine.Runner`.
    dtype
        Of the program's constants. The engines take float32; float64 shows the lowering's own
        error.

    Raises
    ------
    ValueError
        For a graph without outputs, another algorithm, a layer that it does not take, a device that
        there is not, and weights that are missing, unknown or of another shape.
    """
    if algorithm not in ALGORITHM_NAMES:
        names = ", ".join(f'"{name}"' for name in ALGORITHM_NAMES)
        raise ValueError(f"algorithm must be one of {names}, not {algorithm!r}")
    if not graph.outputs:
        raise ValueError(f"{graph.name} has no output: call graph.output(tensor)")
    if weights is not None:
        check_weights(graph, weights)

    inputs = [tensor.name for tensor in graph.inputs]
    outputs = [tensor.name for tensor in graph.outputs]
    fused = fuse(rewrite(graph.nodes, outputs), outputs)
    placement = place_values(fused, inputs, outputs)
    constants: dict[str, np.ndarray] = {}
    if weights is not None:
        for draft in placement.drafts:
            constants.update(draft_constants(draft, weights, np.dtype(dtype)))
    program = Program(
        name=graph.name,
        steps=tuple(
            step for draft in placement.drafts for step in _steps(draft, placement, algorithm)
        ),
        buffers=tuple(placement.buffers),
        inputs=tuple(placement.view(name) for name in inputs),
        outputs=tuple(placement.view(value) for value in placement.output_values),
        arena_floats=placement.arena_floats,
        constants=constants,
    )
    return program if device is None else fit(program, find_target(device, precision))


def check_weights(graph: Graph, weights: Mapping[str, np.ndarray]) -> None:
    """Raise ValueError unless `weights` are exactly the parameters of `graph`, in their shapes."""
    for name, shape in graph.parameters.items():
        if name not in weights:
            raise ValueError(f"the weights of {graph.name} lack {name}, of shape {shape}")
        if weights[name].shape != shape:
            found = weights[name].shape
            raise ValueError(f"{name} of {graph.name} must have shape {shape}, not {found}")
    unknown = sorted(weights.keys() - graph.parameters.keys())
    if unknown:
        raise ValueError(f"{graph.name} has no parameter named {unknown[0]}")


def _steps(draft: StepDraft, placement: Placement, algorithm: str) -> Iterator[Step]:
    """The program's steps for a placed draft: one, or one for each part of a grouped layer."""
    step = _step(draft, placement, algorithm)
    if not draft.is_split:
        yield step
        return
    assert isinstance(step, Gemm) and isinstance(draft.lead.layer, GemmLayer)
    for number, part in enumerate(draft.lead.layer.parts):

        def of_part(name: str | None, number: int = number) -> str | None:
            return None if name is None else f"{name}[{number}]"

        outputs = part.first_out, part.out_channels
        e = step.epilogue
        yield replace(
            step,
            name=f"{step.name}[{number}]",
            input=_channels(step.input, part.first_in, part.in_channels),
            output=_channels(step.output, *outputs),
            weight=f"{step.weight}[{number}]",
            bias=of_part(step.bias),
            epilogue=replace(
                e,
                slopes=of_part(e.slopes),
                scale=of_part(e.scale),
                shift=of_part(e.shift),
                other=None if e.other is None else _channels(e.other, *outputs),
            ),
        )


def _channels(view: View, first: int, count: int) -> View:
    return replace(view, offset=view.offset + first, channels=count)


def _step(draft: StepDraft, placement: Placement, algorithm: str) -> Step:
    """The program's step for a placed draft."""
    lead = draft.lead.name
    x, y = placement.view(draft.inputs[0]), placement.view(lead)
    epilogue = Epilogue(
        activation=draft.activation,
        alpha=draft.numbers[0],
        beta=draft.numbers[1],
        slopes=f"{draft.prelu}.slope" if draft.prelu else None,
        scale=f"{lead}.scale" if draft.has_scale else None,
        shift=f"{lead}.shift" if draft.has_shift else None,
        other=None if draft.other is None else placement.view(draft.other),
        combine=draft.combine,
        after_activation=draft.after_activation,
    )
    layer = draft.lead.layer
    if isinstance(layer, GemmLayer) and layer.is_depthwise:
        if algorithm not in ("auto", "direct"):
            raise ValueError(
                f"{lead} is a depthwise convolution, which has a kernel of its own and no "
                f"algorithm {algorithm!r}"
            )
        vertical, horizontal = layer.axes
        return Depthwise(
            name=draft.name,
            input=x,
            output=y,
            kernel_size=layer.kernel_size,
            stride=(vertical.stride, horizontal.stride),
            dilation=(vertical.dilation, horizontal.dilation),
            pad_top=vertical.pad_front,
            pad_left=horizontal.pad_front,
            weight=f"{lead}.weight",
            bias=f"{lead}.bias" if draft.has_bias else None,
            epilogue=epilogue,
        )
    if draft.is_norm and draft.folded:
        one = (1, 1)
        operands = f"{lead}.weight", f"{lead}.bias"
        return Depthwise(draft.name, x, y, one, one, one, 0, 0, *operands, epilogue)
    if isinstance(layer, GemmLayer):
        return Gemm(
            name=draft.name,
            input=x,
            output=y,
            phases=layer.phases(Shape(x.height, x.width, x.channels)),
            kernel_size=layer.kernel_size,
            weight=f"{lead}.weight",
            bias=f"{lead}.bias" if draft.has_bias else None,
            epilogue=epilogue,
            algorithm=algorithm,
            binary=layer.binary and draft.on_signs,
        )
    if isinstance(layer, StatisticsNorm):
        gamma, beta = f"{lead}.gamma", f"{lead}.beta"
        if isinstance(layer, LayerNormLayer):
            return LayerNorm(draft.name, x, y, gamma, beta, layer.eps, epilogue)
        groups = layer.groups if isinstance(layer, GroupNorm) else layer.channels
        return InstanceNorm(draft.name, x, y, gamma, beta, layer.eps, groups, epilogue)
    if isinstance(layer, LocalResponseNorm):
        numbers = layer.size, layer.alpha, layer.beta, layer.k
        return Lrn(draft.name, x, y, *numbers, epilogue)
    if isinstance(layer, Blocks):
        return Rearrange(draft.name, x, y, layer.block, layer.depth_first)
    if isinstance(layer, ChannelShuffle):
        return Shuffle(draft.name, x, y, layer.groups)
    if isinstance(layer, MaxPool2d):
        vertical, horizontal = layer.axes
        return MaxPool(
            name=draft.name,
            input=x,
            output=y,
            kernel_size=(vertical.kernel, horizontal.kernel),
            stride=(vertical.stride, horizontal.stride),
            pad_top=vertical.pad_front,
            pad_left=horizontal.pad_front,
            epilogue=epilogue,
        )
    if isinstance(layer, SoftmaxLayer):
        return Softmax(draft.name, x, y)
    if isinstance(layer, LogSoftmax):
        return Softmax(draft.name, x, y, log=True)
    if isinstance(layer, Resampling):
        rows, columns = layer.taps(Shape(x.height, x.width, x.channels))
        return Resample(draft.name, x, y, rows, columns, epilogue)
    if isinstance(layer, ArgMaxLayer):
        return ArgMax(draft.name, x, y)
    if isinstance(layer, GlobalAvgPool2d):
        return GlobalAvgPool(draft.name, x, y)
    return Pointwise(draft.name, x, y, epilogue)
