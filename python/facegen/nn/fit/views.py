"""The views of a step, and the step with other ones."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, TypeVar

from facegen.nn.program import (
    Fill,
    Gemm,
    InstanceNorm,
    Step,
    View,
    WithoutEpilogue,
    step_reads,
    step_writes,
)

S = TypeVar("S", bound=Step)


def places_of(step: Step) -> Iterable[View]:
    """All views of a step that lie somewhere: what it reads, then what it writes."""
    return (*step_reads(step), *step_writes(step))


def with_places(step: S, change: Callable[[View], View]) -> S:
    """The step with all views changed that lie somewhere."""
    changes: dict[str, Any] = {"output": change(step.output)}
    if not isinstance(step, Fill):
        changes["input"] = change(step.input)
    if not isinstance(step, WithoutEpilogue) and step.epilogue.other is not None:
        changes["epilogue"] = replace(step.epilogue, other=change(step.epilogue.other))
    if isinstance(step, Gemm | InstanceNorm) and step.copy is not None:
        changes["copy"] = replace(step.copy, view=change(step.copy.view))
    if isinstance(step, Gemm) and step.finish is not None:
        changes["finish"] = replace(step.finish, output=change(step.finish.output))
    return replace(step, **changes)


def moved(step: S, view: View, to: View) -> S:
    """The step with another view in the place of one."""
    return with_places(step, lambda other: to if other == view else other)


def round_up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple
