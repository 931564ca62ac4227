"""Epilogues that the best kernel of a product does not know."""

from __future__ import annotations

from dataclasses import replace

from facegen.nn.fit.program_draft import ProgramDraft
from facegen.nn.program import Buffer, Epilogue, Gemm, Pointwise


def split_epilogues(draft: ProgramDraft) -> None:
    """An epilogue becomes a step of its own where the product then has a better kernel.

    Hopper's products know few activations, and multiply by nothing; a pass over the map takes less
    time than another kernel would.
    """
    for step in list(draft.steps):
        if not isinstance(step, Gemm) or step.epilogue == Epilogue():
            continue
        size = step.output
        alone = replace(size, buffer=len(draft.buffers), pixel_stride=size.channels, offset=0)
        buffers = [*draft.formatted(), Buffer("arena", 0, size.floats)]
        product = replace(step, output=alone, epilogue=Epilogue())
        whole, plain = draft.target.kernel(step, buffers), draft.target.kernel(product, buffers)
        if plain is None or (whole is not None and whole[0] <= plain[0]):
            continue
        draft.buffers.append(buffers[-1])
        at = draft.steps.index(step)
        name = f"epilogue of {step.name}"
        draft.steps[at : at + 1] = [product, Pointwise(name, alone, size, step.epilogue)]
