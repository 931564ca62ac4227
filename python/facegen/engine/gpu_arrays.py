"""Calls with arrays in a GPU's memory: checked once, then enqueued as often as they come."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from facegen.engine.batch import LAYOUTS, Form, count_of, overlaps_itself, shape_in
from facegen.engine.device import Call, CallerArray, Engine
from facegen.engine.foreign import ELEMENTS, Library, OnDevice
from facegen.nn.program import Program

# A call is remembered with the addresses of its arrays. Programs that make new ones all the time
# get them from a pool, which comes back to the same few addresses.
MOST_CALLS = 256


class GpuCalls:
    """The calls of a program on an engine that are known.

    Parameters
    ----------
    engine
        What runs them.
    program
        What it was made ready for.
    """

    def __init__(self, engine: Engine, program: Program) -> None:
        self._engine, self._program = engine, program
        self._calls: dict[Any, Call] = {}

    def enqueue(
        self,
        library: Library,
        inputs: Sequence[Any],
        outs: Sequence[Any],
        found: Sequence[OnDevice],
        form: Form,
    ) -> list[Any]:
        """Enqueue a batch on the arrays' GPU; gives `outs`, or new arrays of the library.

        Parameters
        ----------
        library
            Whose arrays these are.
        found
            Where the inputs are, then the outs.

        Raises
        ------
        ValueError
            As for `Runner.__call__`.
        """
        sources, targets = found[: len(inputs)], found[len(inputs) :]
        self._engine.require_gpu(sources[0].device)
        made: list[Any] = []
        if not outs:
            made = self._results(library, inputs[0], sources[0], form)
            targets = [_find(library, y) for y in made]
        key = (form, *(x.memory for x in sources), *(y.memory for y in targets))
        call = self._calls.get(key)
        if call is None:
            call = self._prepare(sources, targets, form)
            if len(self._calls) >= MOST_CALLS:
                self._calls.clear()
            self._calls[key] = call
        stream = sources[0].stream
        call.enqueue(stream)
        library.enqueued(made, sources, stream)
        return made or list(outs)

    def _results(self, library: Library, like: Any, x: OnDevice, form: Form) -> list[Any]:
        """New arrays, of the first input's order in memory."""
        count = x.shape[0] if x.shape else 0
        channels_last = (
            form.layout == "NCHW" and len(x.shape) == 4 and x.strides[1] == 1 < x.shape[1]
        )
        shapes = [shape_in(form.layout, count, view) for view in self._program.outputs]
        return [library.empty(shape, like, x, channels_last, form.as_pixels) for shape in shapes]

    def _prepare(
        self, sources: Sequence[OnDevice], targets: Sequence[OnDevice], form: Form
    ) -> Call:
        count = count_of([x.shape for x in sources], self._program.inputs, form.layout)
        for y, view in zip(targets, self._program.outputs, strict=True):
            if y.shape != (expected := shape_in(form.layout, count, view)):
                raise ValueError(f"out: expected shape {expected}, found {y.shape}")
            if y.read_only:
                raise ValueError("out is read-only")
            if overlaps_itself(y.shape, y.strides):
                raise ValueError("out overlaps itself in memory")
        return self._engine.prepare(
            sources[0].device,
            [_caller_array(x, form.layout, form.pixels) for x in sources],
            [_caller_array(y, form.layout, form.as_pixels) for y in targets],
            count,
        )


def _find(library: Library, made: Any) -> OnDevice:
    found = library.find(made)
    assert found is not None, "made on the device"
    return found


def _caller_array(found: OnDevice, layout: str, pixels: bool) -> CallerArray:
    """An array as the engine takes it.

    Raises
    ------
    ValueError
        Elements of another type.
    """
    if found.element not in ELEMENTS:
        raise ValueError(f"expected {', '.join(ELEMENTS)}, found an array of {found.element}")
    element = "pixels" if pixels and found.element == "uint8" else found.element
    shape, strides = found.shape, found.strides
    if len(shape) == 2:
        return found.pointer, element, (1, 1, shape[1]), (strides[0], 0, 0, strides[1])
    n, h, w, c = LAYOUTS[layout]
    return (
        found.pointer,
        element,
        (shape[h], shape[w], shape[c]),
        (strides[n], strides[h], strides[w], strides[c]),
    )
