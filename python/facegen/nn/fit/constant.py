"""Steps that make the same of every image.

A norm over the one pixel of a 1x1 map gives its beta, whatever it reads. So nobody needs its input,
and what is computed from its output alone need not be computed again: in pix2pix encoder_8 and
decoder_8.
"""

from __future__ import annotations

from typing import TypeGuard

from facegen.nn.fit.program_draft import ProgramDraft
from facegen.nn.program import Fill, InstanceNorm, Step, View, step_reads, step_writes


def replace_norms_of_one_pixel(draft: ProgramDraft) -> None:
    """Put fills in the place of norms over one pixel, which give their beta, whatever they read.

    The variance is 0. So nobody needs the input: what was computed for it alone is dropped. (Here
    the input may also be infinite, where the CPU, which keeps the norm, says NaN.)
    """
    for i, step in enumerate(draft.steps):
        if _is_its_beta(step):
            fill = Fill(step.name, step.output, step.beta, step.epilogue)
            if draft.target.kernel(fill, draft.buffers) and draft.kind(step.output) == "arena":
                draft.steps[i] = fill
    for step in reversed(draft.steps):
        if draft.kind(step.output) == "arena" and not draft.readers(step.output):
            draft.steps.remove(step)


def _is_its_beta(step: Step) -> TypeGuard[InstanceNorm]:
    return (
        isinstance(step, InstanceNorm)
        and step.input.height * step.input.width == 1
        and step.groups == step.input.channels
    )


def put_constant_steps_first(draft: ProgramDraft) -> int:
    """Steps whose result does not depend on the inputs come first; returns how many there are."""
    known: set[View] = set()
    constant: list[Step] = []
    others: list[Step] = []
    for step in draft.steps:
        if known.issuperset(step_reads(step)) and draft.kind(step.output) == "arena":
            known.update(step_writes(step))
            constant.append(step)
        else:
            others.append(step)
    draft.steps = constant + others
    return len(constant)
