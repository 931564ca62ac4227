"""A program while it is fitted: what every change asks it, and how one is tried."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import TypeVar

import numpy as np

from facegen.nn.fit.views import round_up
from facegen.nn.program import Buffer, Fill, Gemm, InstanceNorm, Step, View, step_reads
from facegen.nn.target import Target

S = TypeVar("S", bound=Step)
R = TypeVar("R", bound=Step)


@dataclass
class ProgramDraft:
    """A program in the making: buffers have no places yet."""

    target: Target
    steps: list[Step]
    buffers: list[Buffer]
    constants: dict[str, np.ndarray]
    staged: dict[View, View] = field(default_factory=dict)  # of inputs: copies in the arena
    formats: dict[Step, str] = field(default_factory=dict)  # in which inputs are wanted

    def kind(self, view: View) -> str:
        """Kind of the view's buffer: "input", "output" or "arena"."""
        return self.buffers[view.buffer].kind

    def readers(self, view: View) -> int:
        """How often the steps read the view's buffer, be it other channels of it."""
        return sum(read.buffer == view.buffer for step in self.steps for read in step_reads(step))

    def neighbours(self, maker: type[S], reader: type[R]) -> Iterator[tuple[S, R]]:
        """Pairs of steps in a row, the second the only reader of all that the first makes."""
        for first, second in zip(list(self.steps), self.steps[1:], strict=False):
            if (
                isinstance(first, maker)
                and isinstance(second, reader)
                and not isinstance(second, Fill)
                and any(first is step for step in self.steps)
                and first.output == second.input
                and self.kind(first.output) == "arena"
                and self.readers(first.output) == 1
            ):
                yield first, second

    def formatted(self, steps: Iterable[Step] | None = None) -> list[Buffer]:
        """The buffers, each in the format that its readers want; float32 where they disagree."""
        wishes: dict[int, set[str]] = {}
        for step in self.steps if steps is None else steps:
            for view in step_reads(step):
                wishes.setdefault(view.buffer, set()).add(self._wish(step, view))
        for view in self.staged.values():
            wishes.setdefault(view.buffer, {self.target.operand_format})
        buffers = []
        for number, buffer in enumerate(self.buffers):
            wanted = wishes.get(number, set()) - {"any"} or {self.target.value_format}
            if buffer.kind == "arena":
                buffer = replace(buffer, format=wanted.pop() if len(wanted) == 1 else "float32")
            buffers.append(buffer)
        return buffers

    def _wish(self, step: Step, view: View) -> str:
        """The format in which a step wants a view: its input, or what an epilogue adds."""
        if isinstance(step, Fill) or view is not step.input:
            return "any"
        if step not in self.formats:
            self.formats[step] = self.target.input_format(step, self.buffers)
        return self.formats[step]

    def put(self, step: Gemm | InstanceNorm, *old: Step) -> bool:
        """Put a step in the place of whichever of `old` comes first, instead of all of these.

        It reads the network's input as it is, or a staged copy, whatever has the better kernel.
        Nothing happens, and False is returned, where the device has no kernel for it.
        """
        gone = [step for step in self.steps if any(step is other for other in old)]
        assert len(gone) == len(old), "a step that is not in the draft any more"
        options = [step]
        if isinstance(step, Gemm) and self.kind(step.input) == "input":
            options.append(replace(step, input=self._staged(step.input)))
        best: tuple[int, list[Step]] | None = None
        for option in options:
            steps = [
                option if other is gone[0] else other
                for other in self.steps
                if other is gone[0] or not any(other is later for later in gone)
            ]
            kernel = self.target.kernel(option, self.formatted(steps))
            if kernel is not None and (best is None or kernel[0] < best[0]):
                best = kernel[0], steps
        if best is not None:
            self.steps = best[1]
        return best is not None

    def _staged(self, view: View) -> View:
        """Where a copy of an input lies in the arena, in the format of operands."""
        if view not in self.staged:
            stride = round_up(view.channels, self.target.pixel_channels)
            floats = view.height * view.width * stride
            self.staged[view] = replace(
                view, buffer=len(self.buffers), offset=0, pixel_stride=stride
            )
            self.buffers.append(Buffer("arena", 0, floats))
        return self.staged[view]

    def take_constant(self, name: str, value: Callable[[], np.ndarray], *old: str) -> None:
        """Put a constant in place of `old` ones; a program without constants has only its name."""
        if self.constants:
            made = value()
            for gone in old:
                self.constants.pop(gone, None)
            self.constants[name] = made
