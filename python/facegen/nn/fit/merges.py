"""Steps that become a part of the one before them, or of the one behind."""

from __future__ import annotations

from dataclasses import replace

from facegen.nn.fit.program_draft import ProgramDraft
from facegen.nn.program import (
    NOWHERE,
    Copy,
    Epilogue,
    Gemm,
    InstanceNorm,
    MaxPool,
    Pointwise,
    Softmax,
)


def merge_softmax_inputs(draft: ProgramDraft) -> None:
    """A softmax that a product alone reads becomes a part of it."""
    for softmax, product in draft.neighbours(Softmax, Gemm):
        if not softmax.log:
            draft.put(replace(product, input=softmax.input, softmax_input=True), softmax, product)


def merge_pools(draft: ProgramDraft) -> None:
    """A max-pool that alone reads what a product makes becomes its finish."""
    _merge_finishes(draft, MaxPool)


def merge_scores(draft: ProgramDraft) -> None:
    """A softmax that alone reads what a product makes becomes its finish."""
    _merge_finishes(draft, Softmax)


def merge_squeezes(draft: ProgramDraft) -> None:
    """A 1x1 convolution that alone reads what a product makes becomes its finish."""
    _merge_finishes(draft, Gemm)


def _merge_finishes(draft: ProgramDraft, kind: type[MaxPool] | type[Softmax] | type[Gemm]) -> None:
    for product, reader in draft.neighbours(Gemm, kind):
        if product.finish is None and _can_finish(reader):
            finish = replace(reader, input=replace(reader.input, buffer=NOWHERE))
            name = f"{product.name}+{reader.name}"
            merged = replace(product, name=name, output=reader.output, finish=finish)
            draft.put(merged, product, reader)


def _can_finish(step: MaxPool | Softmax | Gemm) -> bool:
    """Whether a step does no more than its op and an epilogue without a summand."""
    if isinstance(step, Softmax):
        return not step.log
    if isinstance(step, Gemm) and (step.finish is not None or step.softmax_input):
        return False
    return step.epilogue.other is None


def merge_copies(draft: ProgramDraft) -> None:
    """A step that only copies what another makes, or its ReLU, becomes its second output."""
    for copy in list(draft.steps):
        if not isinstance(copy, Pointwise) or draft.kind(copy.output) != "arena":
            continue
        relu = copy.epilogue.activation == "relu"
        if copy.epilogue != (Epilogue("relu") if relu else Epilogue()):
            continue
        for maker in draft.steps[: draft.steps.index(copy)]:
            if not isinstance(maker, Gemm | InstanceNorm) or maker.copy is not None:
                continue
            if maker.output == copy.input and draft.put(
                replace(maker, copy=Copy(copy.output, relu)), maker, copy
            ):
                break


def leave_slices(draft: ProgramDraft, constant_steps: int) -> None:
    """A product whose sums a norm alone reads may leave them in slices, which the norm adds up.

    Slices last for one run: a product that runs once leaves none to a norm that runs every time.
    """
    last_constant = draft.steps[constant_steps - 1] if constant_steps else None
    for product, norm in list(draft.neighbours(Gemm, InstanceNorm)):
        if norm.input.pixel_stride != norm.input.channels or product is last_constant:
            continue
        both = replace(product, slices=True), replace(norm, slices=True)
        buffers = draft.formatted()
        if all(draft.target.kernel(step, buffers) for step in both):
            draft.put(both[0], product)
            draft.put(both[1], norm)
