"""Where the buffers of a fitted program lie in the arena."""

from __future__ import annotations

from dataclasses import replace

from facegen.nn.arena import Lifetime, plan_arena
from facegen.nn.fit.program_draft import ProgramDraft
from facegen.nn.fit.views import places_of, with_places
from facegen.nn.program import Buffer


def place_buffers(draft: ProgramDraft, constant_steps: int) -> tuple[list[Buffer], int]:
    """The buffers that are used, renumbered in the steps too, in places of the arena."""
    formatted = draft.formatted()
    lifetimes: dict[int, Lifetime] = {}
    for i, step in enumerate(draft.steps):
        for view in places_of(step):
            if formatted[view.buffer].kind != "arena":
                continue
            floats = formatted[view.buffer].floats
            first = lifetimes[view.buffer].first if view.buffer in lifetimes else i
            lasting = first < constant_steps  # what is made once is read in every run
            last = len(draft.steps) if lasting else i
            lifetimes[view.buffer] = Lifetime(floats, first, last)
    offsets, arena_floats = plan_arena(lifetimes)
    used = [n for n, b in enumerate(formatted) if b.kind != "arena" or n in lifetimes]
    numbers = {old: new for new, old in enumerate(used)}
    draft.steps = [
        with_places(step, lambda view: replace(view, buffer=numbers[view.buffer]))
        for step in draft.steps
    ]
    buffers = [replace(formatted[n], arena_offset=offsets.get(n, 0)) for n in used]
    return buffers, arena_floats
