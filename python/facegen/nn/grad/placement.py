"""Where the values of a training program live."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

from facegen.nn.arena import Lifetime, plan_arena
from facegen.nn.grad import steps
from facegen.nn.grad.program import Value
from facegen.nn.layer import Shape


def place(
    ordered: Sequence[steps.TrainingStep],
    shapes: Mapping[str, Shape],
    root: Callable[[str], str],
    inputs: Sequence[str],
    targets: Sequence[str],
    kept: Collection[str],
) -> tuple[dict[str, Value], int]:
    """The place of every value, and the floats of the arena.

    A value lives from the step that makes it to the last that reads it, which for most is in the
    backward pass; those that are `kept`, to the end. `root`: the value that another is a view of.
    """
    lifetimes: dict[str, Lifetime] = {}
    for i, step in enumerate(ordered):
        for name in map(root, (*steps.reads(step), *steps.writes(step))):
            if name in inputs or name in targets:
                continue
            first = lifetimes[name].first if name in lifetimes else i
            last = len(ordered) if name in kept else i
            lifetimes[name] = Lifetime(shapes[name].floats, first, last)
    offsets, arena_floats = plan_arena(lifetimes)
    values = {}
    for name, shape in shapes.items():
        at = root(name)
        if at in inputs:
            values[name] = Value(shape, "input", inputs.index(at))
        elif at in targets:
            values[name] = Value(shape, "target", targets.index(at))
        elif at in offsets:
            values[name] = Value(shape, "arena", offset=offsets[at])
    return values, arena_floats
