"""Fitting: steps of a program are merged where a device has a kernel for both.

    Program --merge--> steps, each with a kernel of this device --place--> Program

Every change is tried by asking the device (``Device.kernel``) for a kernel of the step that would
come of it, and made where there is one. A change that no device-independent rule allows is not
even tried: a step takes in another only where nobody else reads what is between them. In the end
every step has a kernel, or the program is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import TypeVar

import numpy as np

from facegen.nn.arena import Lifetime, plan_arena
from facegen.nn.device import Device
from facegen.nn.program import (
    NOWHERE,
    ArgMax,
    Axis,
    Buffer,
    Copy,
    Epilogue,
    Fill,
    Gemm,
    GlobalAvgPool,
    InstanceNorm,
    MaxPool,
    Pointwise,
    Program,
    Softmax,
    Step,
    View,
    step_reads,
    step_writes,
)

S = TypeVar("S", bound=Step)
R = TypeVar("R", bound=Step)


def fit(program: Program, device: Device) -> Program:
    """The program with steps merged, formats chosen and buffers placed for a device.

    Parameters
    ----------
    program
        As ``lower`` made it, fitted to no device yet; with constants or without.
    device
        See :func:`facegen.nn.device.find_device`.

    Raises
    ------
    ValueError
        The program is fitted already, or the device has no kernel for a step.
    """
    if program.device:
        raise ValueError(f"{program.name} is fitted to {program.device} already")
    draft = _Draft(
        device, list(program.steps), list(program.buffers), dict(program.constants)
    )
    for change in (
        replace_norms_of_one_pixel,
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
    leave_slices(draft)
    buffers, arena_floats = _place(draft, constant_steps)
    kernels = []
    for step in draft.steps:
        found = device.kernel(step, buffers)
        if found is None:
            raise ValueError(f"{device.name} has no kernel for {step.name} of {program.name}")
        kernels.append(found[1])
    return replace(
        program,
        steps=tuple(draft.steps),
        buffers=tuple(buffers),
        arena_floats=arena_floats,
        constants=draft.constants,
        device=device.name,
        kernels=tuple(kernels),
        constant_steps=constant_steps,
    )


@dataclass
class _Draft:
    """A program in the making: buffers have no places yet."""

    device: Device
    steps: list[Step]
    buffers: list[Buffer]
    constants: dict[str, np.ndarray]
    staged: dict[View, View] = field(default_factory=dict)  # of inputs: copies in the arena
    formats: dict[Step, str] = field(default_factory=dict)  # that products would best read

    def kind(self, view: View) -> str:
        return self.buffers[view.buffer].kind

    def readers(self, view: View) -> int:
        return sum(read.buffer == view.buffer for step in self.steps for read in step_reads(step))

    def neighbours(self, maker: type[S], reader: type[R]) -> Iterator[tuple[S, R]]:
        """Steps behind each other, the second the only reader of all that the first makes."""
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
        """The buffers, each in the format in which all its readers would best have it."""
        wishes: dict[int, set[str]] = {}
        for step in self.steps if steps is None else steps:
            for view in step_reads(step):
                product = isinstance(step, Gemm) and view is step.input
                wish = self._input_format(step) if product else self.device.value_format
                wishes.setdefault(view.buffer, set()).add(wish)
        for view in self.staged.values():
            wishes.setdefault(view.buffer, {self.device.operand_format})
        buffers = []
        for number, buffer in enumerate(self.buffers):
            wished = wishes.get(number, {self.device.value_format})
            if buffer.kind == "arena":
                buffer = replace(buffer, format=wished.pop() if len(wished) == 1 else "float32")
            buffers.append(buffer)
        return buffers

    def _input_format(self, step: Step) -> str:
        if step not in self.formats:
            self.formats[step] = self.device.input_format(step, self.buffers)
        return self.formats[step]

    def put(self, step: Gemm | InstanceNorm, *old: Step) -> bool:
        """The step in the place of the first of `old`, instead of all of these.

        On the network's input as it is, or on a staged one, whatever has the better kernel. Nothing
        happens, and False is returned, where the device has no kernel for it.
        """
        options = [step]
        if isinstance(step, Gemm) and self.kind(step.input) == "input":
            options.append(replace(step, input=self._staged(step.input)))
        best: tuple[int, list[Step]] | None = None
        for option in options:
            steps = [
                option if other is old[0] else other
                for other in self.steps
                if other is old[0] or not any(other is gone for gone in old)
            ]
            kernel = self.device.kernel(option, self.formatted(steps))
            if kernel is not None and (best is None or kernel[0] < best[0]):
                best = kernel[0], steps
        if best is not None:
            self.steps = best[1]
        return best is not None

    def _staged(self, view: View) -> View:
        """Where a copy of an input lies in the arena, in the format of operands."""
        if view not in self.staged:
            stride = _round_up(view.channels, self.device.pixel_channels)
            floats = view.height * view.width * stride
            self.staged[view] = replace(
                view, buffer=len(self.buffers), offset=0, pixel_stride=stride
            )
            self.buffers.append(Buffer("arena", 0, floats))
        return self.staged[view]

    def take_constant(self, name: str, value: Callable[[], np.ndarray], *old: str) -> None:
        """A constant in place of `old` ones; of a program without constants, only its name."""
        if self.constants:
            made = value()
            for gone in old:
                self.constants.pop(gone, None)
            self.constants[name] = made


def replace_norms_of_one_pixel(draft: _Draft) -> None:
    """A norm over one pixel has variance 0 and gives its beta, whatever it reads.

    So nobody needs its input: what was computed for it alone is dropped. (Here the input may also
    be infinite, where the CPU, which keeps the norm, says NaN.)
    """
    for i, step in enumerate(draft.steps):
        if isinstance(step, InstanceNorm) and step.input.height * step.input.width == 1:
            fill = Fill(step.name, step.output, step.beta, step.epilogue)
            if draft.device.kernel(fill, draft.buffers) and draft.kind(step.output) == "arena":
                draft.steps[i] = fill
    for step in reversed(draft.steps):
        if draft.kind(step.output) == "arena" and not draft.readers(step.output):
            draft.steps.remove(step)


def merge_softmax_inputs(draft: _Draft) -> None:
    """A softmax that a product alone reads becomes a part of it."""
    for softmax, product in draft.neighbours(Softmax, Gemm):
        draft.put(replace(product, input=softmax.input, softmax_input=True), softmax, product)


def join_siblings(draft: _Draft) -> None:
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
    if not (isinstance(one, Gemm) and isinstance(large, Gemm)) or one.kernel != (1, 1):
        return None
    for step in (one, large):
        e = step.epilogue
        if len(step.phases) != 1 or e.scale or e.shift or e.add is not None or step.finish:
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


def _join_constants(draft: _Draft, one: Step, large: Step, joined: Gemm) -> None:
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


def merge_pools(draft: _Draft) -> None:
    """A max-pool that alone reads what a product makes becomes its finish."""
    _merge_finishes(draft, MaxPool)


def merge_scores(draft: _Draft) -> None:
    """A softmax that alone reads what a product makes becomes its finish."""
    _merge_finishes(draft, Softmax)


def merge_squeezes(draft: _Draft) -> None:
    """A 1x1 convolution that alone reads what a product makes becomes its finish."""
    _merge_finishes(draft, Gemm)


def _merge_finishes(draft: _Draft, kind: type[MaxPool] | type[Softmax] | type[Gemm]) -> None:
    for product, reader in draft.neighbours(Gemm, kind):
        if product.finish is None and _can_finish(reader):
            finish = replace(reader, input=replace(reader.input, buffer=NOWHERE))
            name = f"{product.name}+{reader.name}"
            merged = replace(product, name=name, output=reader.output, finish=finish)
            draft.put(merged, product, reader)


def _can_finish(step: MaxPool | Softmax | Gemm) -> bool:
    """Whether a step does no more than its op and an epilogue without a summand."""
    if isinstance(step, Softmax):
        return True
    if isinstance(step, Gemm) and (step.finish is not None or step.softmax_input):
        return False
    return step.epilogue.add is None


def pad_pixels(draft: _Draft) -> None:
    """Pixels of whole buffers get room for a multiple of the channels that are read at once."""
    multiple = draft.device.pixel_channels
    for number, buffer in enumerate(draft.buffers):
        views = {view for step in draft.steps for view in _places(step) if view.buffer == number}
        if buffer.kind != "arena" or len(views) != 1:
            continue
        (view,) = views
        whole = view.pixel_stride == view.channels and view.offset == 0
        if not whole or view.channels % multiple == 0 or view.channels < multiple:
            continue
        padded = replace(view, pixel_stride=_round_up(view.channels, multiple))
        draft.buffers[number] = replace(
            buffer, floats=view.height * view.width * padded.pixel_stride
        )
        draft.steps = [_moved(step, view, padded) for step in draft.steps]


def merge_copies(draft: _Draft) -> None:
    """A step that only copies what another makes, or its ReLU, becomes that step's second output."""
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


def stage_inputs(draft: _Draft) -> None:
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


def put_constant_steps_first(draft: _Draft) -> int:
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


def leave_slices(draft: _Draft) -> None:
    """A product whose sums a norm alone reads may leave them in slices, which the norm adds up."""
    for product, norm in list(draft.neighbours(Gemm, InstanceNorm)):
        if norm.input.pixel_stride != norm.input.channels:
            continue
        both = replace(product, slices=True), replace(norm, slices=True)
        buffers = draft.formatted()
        if all(draft.device.kernel(step, buffers) for step in both):
            for old, new in zip((product, norm), both, strict=True):
                draft.put(new, old)


def _place(draft: _Draft, constant_steps: int) -> tuple[list[Buffer], int]:
    """The buffers that are used, renumbered in the steps too, in places of the arena."""
    formatted = draft.formatted()
    lifetimes: dict[int, Lifetime] = {}
    for i, step in enumerate(draft.steps):
        for view in _places(step):
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
        _with_places(step, lambda view: replace(view, buffer=numbers[view.buffer]))
        for step in draft.steps
    ]
    buffers = [replace(formatted[n], arena_offset=offsets.get(n, 0)) for n in used]
    return buffers, arena_floats


def _places(step: Step) -> Iterable[View]:
    return (*step_reads(step), *step_writes(step))


def _with_places(step: S, change: Callable[[View], View]) -> S:
    """The step with all views changed that lie somewhere."""
    changes: dict[str, object] = {"output": change(step.output)}
    if not isinstance(step, Fill):
        changes["input"] = change(step.input)
    if not isinstance(step, Softmax | ArgMax | GlobalAvgPool) and step.epilogue.add is not None:
        changes["epilogue"] = replace(step.epilogue, add=change(step.epilogue.add))
    if isinstance(step, Gemm | InstanceNorm) and step.copy is not None:
        changes["copy"] = replace(step.copy, view=change(step.copy.view))
    if isinstance(step, Gemm) and step.finish is not None:
        changes["finish"] = replace(step.finish, output=change(step.finish.output))
    return replace(step, **changes)


def _moved(step: S, view: View, to: View) -> S:
    return _with_places(step, lambda other: to if other == view else other)


def _round_up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple
