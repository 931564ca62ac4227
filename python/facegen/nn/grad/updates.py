"""What an optimizer does to one parameter, as a step."""

from __future__ import annotations

from facegen.nn.grad.optimizers import Optimizer
from facegen.nn.grad.steps import Update
from facegen.nn.grad.steps.ends import RoundingMode


def update_of(
    parameter: str, floats: int, optimizer: Optimizer, rounding: RoundingMode | None, stream: int
) -> Update:
    """The step by which a parameter of so many floats follows its gradient.

    It is then rounded to bfloat16; `stream` is its number among those that are trained.
    """
    group, weight_decay = optimizer.group_of(parameter)
    moments = optimizer.moments if getattr(optimizer, "momentum", 1) else ()
    average = optimizer.average
    return Update(
        name=f"{parameter} {optimizer.kind}",
        parameter=parameter,
        floats=floats,
        optimizer=optimizer.kind,
        group=group,
        moments=tuple(f"{parameter}:{moment}" for moment in moments),
        weight_decay=weight_decay,
        momentum=getattr(optimizer, "momentum", 0.0),
        nesterov=getattr(optimizer, "nesterov", False),
        betas=getattr(optimizer, "betas", (0.0, 0.0)),
        eps=getattr(optimizer, "eps", 0.0),
        average=None if average is None else f"{parameter}:average",
        decay_group=optimizer.decay_group,
        rounding=rounding,
        stream=stream,
    )
