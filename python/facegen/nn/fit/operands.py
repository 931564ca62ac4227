"""What kernels read in vectors, and as operands of products."""

from __future__ import annotations

from dataclasses import replace

from facegen.nn.fit.program_draft import ProgramDraft
from facegen.nn.fit.views import moved, places_of, round_up
from facegen.nn.program import Gemm, Pointwise, step_reads


def pad_pixels(draft: ProgramDraft) -> None:
    """Pixels of whole buffers get room for a multiple of the channels that are read at once."""
    multiple = draft.target.pixel_channels
    for number, buffer in enumerate(draft.buffers):
        views = {view for step in draft.steps for view in places_of(step) if view.buffer == number}
        if buffer.kind != "arena" or len(views) != 1:
            continue
        (view,) = views
        whole = view.pixel_stride == view.channels and view.offset == 0
        if not whole or view.channels % multiple == 0 or view.channels < multiple:
            continue
        padded = replace(view, pixel_stride=round_up(view.channels, multiple))
        draft.buffers[number] = replace(
            buffer, floats=view.height * view.width * padded.pixel_stride
        )
        draft.steps = [moved(step, view, padded) for step in draft.steps]


def stage_inputs(draft: ProgramDraft) -> None:
    """Inputs that a better kernel reads as operands are copied into the arena first."""
    for step in list(draft.steps):
        if isinstance(step, Gemm):
            draft.put(step, step)
    read = {view.buffer for step in draft.steps for view in step_reads(step)}
    copies = [
        Pointwise(f"operands of input {draft.buffers[view.buffer].index}", view, staged)
        for view, staged in draft.staged.items()
        if staged.buffer in read
    ]
    draft.steps[:0] = copies
