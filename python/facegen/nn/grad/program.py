"""A step of training as a table: what is computed, what it costs, and where everything lives."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from facegen.cached import cached_property
from facegen.nn.grad import steps
from facegen.nn.layer import Shape
from facegen.nn.table import quantity, text_table

_FLOAT_BYTES = 4
_DEPTHWISE = steps.Depthwise | steps.DepthwiseGradient | steps.DepthwiseWeightGradient


@dataclass(frozen=True)
class Value:
    """A tensor of every image of a batch, NHWC: the caller's, or in the arena.

    In the arena, image i of a batch of n is at ``n * offset + i * shape.floats``.
    """

    shape: Shape
    kind: str  # "input", "target", "arena"
    index: int = 0  # of an input or target
    offset: int = 0  # floats of one image from the arena's start


@dataclass(frozen=True)
class TrainingProgram:
    """Forward, backward, update, in this order. ``print(program)`` is a table.

    Attributes
    ----------
    values
        Every tensor, by name; a gradient is ``d(name)``.
    statistics
        Arrays of the whole batch, floats by name.
    parameters
        Shapes by name, of those that are not trained too.
    arena_floats
        Of one image.
    input_gradients
        Inputs whose gradients are computed too.
    outputs
        Of the graph, whose values stay as they are after a step.
    """

    name: str
    forward: tuple[steps.TrainingStep, ...]
    backward: tuple[steps.TrainingStep, ...]
    update: tuple[steps.TrainingStep, ...]
    values: Mapping[str, Value]
    inputs: tuple[str, ...]
    statistics: Mapping[str, int]
    parameters: Mapping[str, tuple[int, ...]]
    arena_floats: int
    clip_norm: float | None = None
    input_gradients: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()

    @property
    def kept(self) -> tuple[str, ...]:
        """The values that stay as they are after a step: those gradients, and the outputs."""
        return (*(f"d({name})" for name in self.input_gradients), *self.outputs)

    @cached_property
    def losses(self) -> tuple[steps.Loss, ...]:
        """The ends of the forward pass, in the order of their targets."""
        return tuple(step for step in self.forward if isinstance(step, steps.Loss))

    @property
    def trained(self) -> tuple[str, ...]:
        """The parameters that are trained."""
        return tuple(step.parameter for step in self.update if isinstance(step, steps.Update))

    @property
    def state(self) -> dict[str, tuple[int, ...]]:
        """Shapes of the moments and averages that are kept beside the parameters."""
        return {
            name: self.parameters[step.parameter]
            for step in self.update
            if isinstance(step, steps.Update)
            for name in (*step.moments, *([step.average] if step.average else []))
        }

    def flops(self, step: steps.TrainingStep) -> int:
        """Operations of one image, 2 a multiply-add that reads inside its input."""
        if isinstance(step, _DEPTHWISE):
            # Each output, and each tap of it but for those outside.
            x = self.values[step.dx if isinstance(step, steps.DepthwiseGradient) else step.x].shape
            y = self.values[step.y if isinstance(step, steps.Depthwise) else step.dy].shape
            taps = [
                sum(
                    0 <= o * step.stride[i] + t * step.dilation[i] - step.padding[i] < x[i]
                    for o in range(y[i])
                    for t in range(step.kernel_size[i])
                )
                for i in range(2)
            ]
            return 2 * taps[0] * taps[1] * x.channels
        if not isinstance(step, steps.Gemm | steps.WeightGradient):
            return 0
        x = self.values[step.x].shape
        other = self.values[step.y if isinstance(step, steps.Gemm) else step.dy].shape
        pairs = sum(p.y.valid_taps(x.height) * p.x.valid_taps(x.width) for p in step.phases)
        if step.part is not None:
            channels = step.part.in_channels * step.part.out_channels // step.part.groups
        else:
            channels = x.channels * other.channels
        return 2 * pairs * channels

    def image_bytes(self, step: steps.TrainingStep) -> int:
        """Bytes that a step reads and writes of one image."""
        names = (*steps.reads(step), *steps.writes(step))
        return _FLOAT_BYTES * sum(self.values[name].shape.floats for name in names)

    def batch_bytes(self, step: steps.TrainingStep) -> int:
        """Bytes that a step reads and writes of parameters and gradients, whatever the batch."""
        if isinstance(step, steps.Update):
            arrays = 3 + 2 * len(step.moments) + 2 * (step.average is not None)
            return _FLOAT_BYTES * arrays * step.floats
        if isinstance(step, steps.Gemm | steps.WeightGradient | _DEPTHWISE):
            return _FLOAT_BYTES * math.prod(self.parameters[step.weight])
        return 0

    def __str__(self) -> str:
        sections = (
            ("forward", self.forward),
            ("backward", self.backward),
            ("update", self.update),
        )
        headers = ["#", "step", "operation", "reads", "writes"]
        headers += ["FLOPs", "bytes an image", "bytes a batch"]
        rows: list[list[str]] = []
        totals = []
        for section, part in sections:
            for step in part:
                rows.append(self._row(len(rows), step))
            costs = [
                sum(map(cost, part)) for cost in (self.flops, self.image_bytes, self.batch_bytes)
            ]
            totals.append(
                f"{section}: {len(part)} steps, {quantity(costs[0])}FLOP and "
                f"{quantity(costs[1])}B an image, {quantity(costs[2])}B a batch"
            )
        kept = f"arena {quantity(_FLOAT_BYTES * self.arena_floats)}B an image"
        title = f"{self.name}, {' + '.join(step.name for step in self.losses)}"
        return "\n".join([title, text_table(headers, rows, left=5), *totals, kept])

    def _row(self, number: int, step: steps.TrainingStep) -> list[str]:
        costs = self.flops(step), self.image_bytes(step), self.batch_bytes(step)
        return [
            str(number),
            step.name,
            _operation(step),
            ", ".join(dict.fromkeys(map(self._named, steps.reads(step)))) or "-",
            ", ".join(map(self._named, steps.writes(step))) or "-",
            *(quantity(cost) if cost else "-" for cost in costs),
        ]

    def _named(self, value: str) -> str:
        return f"{value} {self.values[value].shape}"


_NAMES = {
    steps.BiasGradient: "sum of pixels",
    steps.Prelu: "prelu",
    steps.PreluGradient: "prelu gradient",
    steps.Multiply: "multiply",
    steps.MultiplySum: "multiply and sum",
    steps.Softmax: "softmax",
    steps.SoftmaxGradient: "softmax gradient",
    steps.Shuffle: "shuffle",
    steps.Rearrange: "rearrange",
    steps.LayerNorm: "layer norm",
    steps.LayerNormGradient: "layer norm gradient",
    steps.MaxPool: "max pool",
    steps.MaxPoolGradient: "max pool gradient",
    steps.GlobalAvgPool: "global average pool",
    steps.GlobalAvgPoolGradient: "spread",
    steps.BatchNorm: "batch norm",
    steps.BatchNormGradient: "batch norm gradient",
    steps.InstanceNorm: "instance norm",
    steps.InstanceNormGradient: "instance norm gradient",
    steps.Copy: "copy",
    steps.Resample: "resample",
    steps.ResampleGradient: "resample gradient",
    steps.Dropout: "dropout",
    steps.Loss: "loss and gradient",
    steps.UpdateStatistics: "running statistics",
}


def _operation(step: steps.TrainingStep) -> str:
    """What the step does, in a few characters."""
    if isinstance(step, steps.Gemm | steps.WeightGradient):
        kind = "gemm" if isinstance(step, steps.Gemm) else "weight gradient"
        phases = f" {len(step.phases)} phases" if len(step.phases) > 1 else ""
        parts = [f"{kind} {step.kernel_size[0]}x{step.kernel_size[1]}{phases}"]
    elif isinstance(step, _DEPTHWISE):
        kind = {
            steps.Depthwise: "depthwise",
            steps.DepthwiseGradient: "depthwise gradient",
            steps.DepthwiseWeightGradient: "depthwise weight gradient",
        }[type(step)]
        parts = [f"{kind} {step.kernel_size[0]}x{step.kernel_size[1]}"]
    elif isinstance(step, steps.Update):
        parts = [step.optimizer]
        parts += [] if step.rounding is None else [f"bfloat16 ({step.rounding})"]
    elif isinstance(step, steps.Activate | steps.ActivateGradient):
        parts = [] if isinstance(step, steps.Activate) else ["gradient of"]
    else:
        parts = [_NAMES[type(step)]]
    activation = getattr(step, "activation", "none")
    parts += [activation] if activation != "none" else []
    parts += ["add"] if getattr(step, "accumulate", False) else []
    return ", ".join(parts).replace("gradient of, ", "gradient of ")
