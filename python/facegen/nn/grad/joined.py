"""Steps that do in one pass over a map what the rules made two of."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from facegen.nn.grad.steps import ActivateGradient, MaxPoolGradient, TrainingStep


def joined(table: Iterable[TrainingStep]) -> list[TrainingStep]:
    """The table, with the gradient of a ReLU in that of the max pool which reads its output.

    A leaky one's too. The pool is the last to write that gradient, and reads what the derivative is
    told from.
    """
    result: list[TrainingStep] = []
    for step in table:
        pool = result[-1] if result else None
        if (
            isinstance(step, ActivateGradient)
            and isinstance(pool, MaxPoolGradient)
            and step.activation in ("relu", "leaky_relu")
            and step.y == pool.x
            and step.dy == step.dx == pool.dx
        ):
            name = f"{pool.name}+{step.name}"
            result[-1] = replace(
                pool, name=name, activation=step.activation, numbers=step.numbers
            )
        else:
            result.append(step)
    return result
