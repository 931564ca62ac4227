"""Two convolutions of one map as one: the pair of a fire module."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from facegen.nn.fit.program_draft import ProgramDraft
from facegen.nn.program import Axis, Gemm, Step


def join_siblings(draft: ProgramDraft) -> None:
    """A 1x1 convolution and a larger one that read one map and write side by side become one.

    As in a fire module. The 1x1 has the centre tap alone; kernels that can skip the others take
    the joined step.
    """
    for one in list(draft.steps):
        for large in list(draft.steps):
            joined = _join(one, large)
            if joined is not None and draft.put(joined, one, large):
                _join_constants(draft, one, large, joined)
                break


def _join(one: Step, large: Step) -> Gemm | None:
    """The step of two that may be joined; its constants' names are theirs, joined."""
    if not (isinstance(one, Gemm) and isinstance(large, Gemm)):
        return None
    if one.kernel_size != (1, 1) or large.kernel_size == (1, 1):
        return None
    for step in (one, large):
        e = step.epilogue
        if len(step.phases) != 1 or e.scale or e.shift or e.other is not None:
            return None
        if step.finish is not None or step.softmax_input:
            return None
        for axis in (step.phases[0].y, step.phases[0].x):
            if axis.step != 1 or _centre_tap(axis) is None:
                return None
    left, right = one.output, large.output
    side_by_side = replace(left, channels=right.channels, offset=left.offset + left.channels)
    same = one.input == large.input and one.epilogue == large.epilogue and not one.centre_channels
    if not same or side_by_side != right or large.centre_channels:
        return None
    bias = f"{one.bias or one.name}|{large.bias or large.name}" if one.bias or large.bias else None
    return replace(
        large,
        name=f"{one.name}|{large.name}",
        output=replace(left, channels=left.channels + right.channels),
        weight=f"{one.weight}|{large.weight}",
        bias=bias,
        centre_channels=left.channels,
    )


def _join_constants(draft: ProgramDraft, one: Step, large: Step, joined: Gemm) -> None:
    assert isinstance(one, Gemm) and isinstance(large, Gemm)
    first, second = one.output.channels, large.output.channels
    (phase,) = large.phases
    centre = _centre_tap(phase.y), _centre_tap(phase.x)

    def weight() -> np.ndarray:
        left, right = draft.constants[one.weight], draft.constants[large.weight]
        made = np.zeros((first + second, *right.shape[1:]), right.dtype)
        made[:first, centre[0], centre[1]] = left[:, 0, 0]
        made[first:] = right
        return made

    def bias() -> np.ndarray:
        made = np.zeros(first + second, draft.constants[large.weight].dtype)
        made[:first] = draft.constants[one.bias] if one.bias else 0
        made[first:] = draft.constants[large.bias] if large.bias else 0
        return made

    if joined.bias:
        draft.take_constant(joined.bias, bias, *(b for b in (one.bias, large.bias) if b))
    draft.take_constant(joined.weight, weight, one.weight, large.weight)


def _centre_tap(axis: Axis) -> int | None:
    """The weight tap that reads the output's own position."""
    for t in range(axis.taps):
        if axis.base + t * axis.dir == 0:
            return axis.first_tap + t * axis.tap_step
    return None
