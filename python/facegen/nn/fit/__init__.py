"""Fitting: steps of a program are merged where a device has a kernel for both.

    Program --merge--> steps, each with a kernel of this device --place--> Program

Every change is tried by asking the device (``Target.kernel``) for a kernel of the step that would
come of it, and made where there is one. In the end every step has a kernel, or the program is
refused: what a step says and what its kernel does cannot differ.
"""

from __future__ import annotations

from dataclasses import replace

from facegen.nn.fit.buffers import place_buffers
from facegen.nn.fit.constant import put_constant_steps_first, replace_norms_of_one_pixel
from facegen.nn.fit.epilogues import split_epilogues
from facegen.nn.fit.merges import (
    leave_slices,
    merge_copies,
    merge_pools,
    merge_scores,
    merge_softmax_inputs,
    merge_squeezes,
)
from facegen.nn.fit.operands import pad_pixels, stage_inputs
from facegen.nn.fit.program_draft import ProgramDraft
from facegen.nn.fit.siblings import join_siblings
from facegen.nn.program import Gemm, Program
from facegen.nn.target import Target

__all__ = ["fit"]


def fit(program: Program, target: Target) -> Program:
    """The program with steps merged, formats chosen and buffers placed for a device.

    Parameters
    ----------
    program
        As ``lower`` made it, fitted to no device yet; with constants or without.
    target
        See :func:`facegen.nn.target.find_target`.

    Raises
    ------
    ValueError
        The program is fitted already, or the device has no kernel for a step.
    """
    if program.device:
        raise ValueError(
            f"{program.name} is fitted to {program.device} already: lower it without a device"
        )
    draft = ProgramDraft(target, [*program.steps], [*program.buffers], {**program.constants})
    for change in (
        replace_norms_of_one_pixel,
        split_epilogues,
        merge_softmax_inputs,
        join_siblings,
        merge_pools,
        merge_scores,
        merge_squeezes,
        pad_pixels,
        merge_copies,
        stage_inputs,
    ):
        change(draft)
    constant_steps = put_constant_steps_first(draft)
    leave_slices(draft, constant_steps)
    buffers, arena_floats = place_buffers(draft, constant_steps)
    kernels = []
    for step in draft.steps:
        found = target.kernel(step, buffers)
        if found is None:
            what = f"{target.name} has no kernel for {step.name} of {program.name}"
            if isinstance(step, Gemm) and step.algorithm != "auto":
                what += f" by algorithm {step.algorithm!r}: {target.why_not(step, buffers)}"
            raise ValueError(what)
        kernels.append(found[1])
    return replace(
        program,
        steps=tuple(draft.steps),
        buffers=tuple(buffers),
        arena_floats=arena_floats,
        constants=draft.constants,
        device=target.name,
        kernels=tuple(kernels),
        constant_steps=constant_steps,
    )
