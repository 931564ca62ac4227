"""A program as a table: what every step does, with which kernel, and what it costs."""

from __future__ import annotations

from facegen.nn.program import (
    ArgMax,
    Depthwise,
    Fill,
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
    WithoutEpilogue,
    step_reads,
    step_writes,
)
from facegen.nn.table import quantity, text_table

_FLOAT_BYTES = 4

_NAMES = {
    InstanceNorm: "instance norm",
    LayerNorm: "layer norm",
    Lrn: "response norm",
    Rearrange: "rearrange",
    Shuffle: "shuffle",
    Softmax: "softmax",
    Resample: "resample",
    Pointwise: "pointwise",
    Fill: "fill",
    ArgMax: "argmax",
    GlobalAvgPool: "global average pool",
}


def program_table(program: Program) -> str:
    """A row a step, and the totals of an image."""
    rows = [
        [
            str(number),
            step.name,
            _operation(step),
            *([program.kernels[number]] if program.kernels else []),
            "-" if isinstance(step, Fill) else str(step.input),
            str(step.output),
            quantity(step.flops) if isinstance(step, Gemm | Depthwise) else "-",
            quantity(_FLOAT_BYTES * _weight_floats(step)) if _weight_floats(step) else "-",
            quantity(_FLOAT_BYTES * _activation_floats(step)),
        ]
        for number, step in enumerate(program.steps)
    ]
    kernel = ["kernel"] if program.kernels else []
    headers = ["#", "step", "operation", *kernel, "in", "out"]
    headers += ["FLOPs", "weight bytes", "moved bytes"]
    weight_floats = sum(_weight_floats(step) for step in program.steps)
    totals = [
        f"{len(program.steps)} {'step' if len(program.steps) == 1 else 'steps'}",
        f"{quantity(program.flops)}FLOP an image",
        f"weights {quantity(_FLOAT_BYTES * weight_floats)}B",
        f"arena {quantity(_FLOAT_BYTES * program.arena_floats)}B an image",
    ]
    title = f"{program.name} on {program.device}" if program.device else program.name
    table = text_table(headers, rows, left=5 + len(kernel))
    return "\n".join([title, table, ", ".join(totals)])


def _operation(step: Step) -> str:
    """What the step does, its epilogue included, in a few characters."""
    if isinstance(step, Gemm):
        phases = f" {len(step.phases)} phases" if len(step.phases) > 1 else ""
        parts = ["softmax"] if step.softmax_input else []
        parts.append(f"gemm {step.kernel_size[0]}x{step.kernel_size[1]}{phases}")
    elif isinstance(step, Depthwise):
        parts = [f"depthwise {step.kernel_size[0]}x{step.kernel_size[1]}"]
    elif isinstance(step, MaxPool):
        parts = [f"max pool {step.kernel_size[0]}x{step.kernel_size[1]}"]
    elif isinstance(step, InstanceNorm) and step.groups != step.input.channels:
        parts = [f"group norm of {step.groups}"]
    elif isinstance(step, Softmax) and step.log:
        parts = ["log softmax"]
    else:
        parts = [_NAMES[type(step)]]
    if not isinstance(step, WithoutEpilogue):
        epilogue = step.epilogue
        combined = [epilogue.combine] if epilogue.other else []
        activation = [epilogue.activation] if epilogue.activation != "none" else []
        parts += activation + combined if epilogue.after_activation else combined + activation
        parts += ["scale"] if epilogue.scale else []
        parts += ["shift"] if epilogue.shift else []
    if isinstance(step, Gemm) and step.finish is not None:
        parts.append(_operation(step.finish))
    if isinstance(step, Gemm | InstanceNorm):
        if step.copy is not None:
            parts.append("relu copy" if step.copy.relu else "copy")
        parts += ["slices"] if step.slices else []
    return ", ".join(parts)


def _weight_floats(step: Step) -> int:
    """Constants that the step reads."""
    channels = step.map.channels if isinstance(step, Gemm) else step.output.channels
    floats = 0
    if isinstance(step, Gemm):
        floats += channels * step.kernel_size[0] * step.kernel_size[1] * step.input.channels
        floats += channels if step.bias else 0
        floats += _weight_floats(step.finish) if step.finish is not None else 0
    elif isinstance(step, Depthwise):
        floats += channels * (step.kernel_size[0] * step.kernel_size[1] + bool(step.bias))
    elif isinstance(step, InstanceNorm | LayerNorm | Fill):
        floats += (1 if isinstance(step, Fill) else 2) * channels
    if not isinstance(step, WithoutEpilogue):
        floats += sum(channels for name in (step.epilogue.scale, step.epilogue.shift) if name)
    return floats


def _activation_floats(step: Step) -> int:
    """What one image's step reads and writes, each float counted once."""
    return sum(view.floats for view in (*step_reads(step), *step_writes(step)))
