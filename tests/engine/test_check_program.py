"""Programs and arrays that the native engine must refuse: it trusts what it takes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from facegen import _native
from facegen.engine import Runner
from facegen.nn import Concat, Conv2d, ConvTranspose2d, Graph, MaxPool2d, ReLU, Shape, lower
from facegen.nn.program import Gemm, Phase, Program


def program_of(*layers: Any) -> Program:
    rng = np.random.default_rng(0)
    graph = Graph("chain")
    x = graph.input("x", Shape(6, 6, 4))
    for i, layer in enumerate(layers):
        x = graph.add(f"l{i}", layer, x)
    graph.output(x)
    weights = {
        name: rng.standard_normal(shape).astype(np.float32)
        for name, shape in graph.parameters.items()
    }
    return lower(graph, weights)


CONV = program_of(Conv2d(4, 5, 3, padding=1))
TRANSPOSED = program_of(ConvTranspose2d(4, 5, 4, stride=2, padding=1))
POINT = program_of(Conv2d(4, 5, 1))
SPARSE = program_of(ConvTranspose2d(4, 5, 1, stride=2))  # phase 1 has columns without taps
POOL = program_of(MaxPool2d(3, stride=2, padding=1))
RELU = program_of(ReLU())
CHAIN = program_of(Conv2d(4, 5, 3, padding=1), ReLU(), MaxPool2d(2), ReLU())


def with_step(program: Program, **changes: Any) -> Program:
    return replace(program, steps=(replace(program.steps[0], **changes), *program.steps[1:]))


def with_axis(program: Program, number: int = 0, **changes: Any) -> Program:
    step = program.steps[0]
    assert isinstance(step, Gemm)
    phases = list(step.phases)
    phases[number] = Phase(phases[number].y, replace(phases[number].x, **changes))
    return with_step(program, phases=tuple(phases))


def with_view(program: Program, name: str, **changes: Any) -> Program:
    return with_step(program, **{name: replace(getattr(program.steps[0], name), **changes)})


def with_buffer(program: Program, number: int, **changes: Any) -> Program:
    buffers = list(program.buffers)
    buffers[number] = replace(buffers[number], **changes)
    return replace(program, buffers=tuple(buffers))


@pytest.mark.parametrize(
    ("program", "message"),
    [
        (with_axis(CONV, dir=0), "a step or a direction"),
        (with_axis(CONV, dir=-2), "a step or a direction"),
        (with_axis(CONV, step=0), "a step or a direction"),
        (with_axis(TRANSPOSED, dir=1), "a step or a direction"),
        (with_axis(CONV, base=-(2**30)), "reads from too far away"),
        (with_axis(CONV, dir=2**29), "reads from too far away"),
        (with_axis(CONV, step=2**29), "reads from too far away"),
        (with_axis(CONV, taps=4), "reads from too far away"),
        (with_axis(CONV, first_tap=1), "a weight tap outside the kernel"),
        (with_axis(CONV, tap_step=2**31 - 1), "a weight tap outside the kernel"),
        (with_axis(CONV, tap_step=0), "taps are not apart"),
        (with_axis(CONV, tap_step=-1), "taps are not apart"),
        (with_axis(POINT, tap_step=0), "taps are not apart"),
        (with_axis(SPARSE, 1, tap_step=0), "taps are not apart"),
        (with_axis(CONV, out=5), "does not write every"),
        (with_axis(CONV, out_origin=1), "does not write every"),
        (with_axis(TRANSPOSED, out_step=3), "does not write every"),
        (with_axis(TRANSPOSED, 1, out_origin=0), "phases that do not write each output once"),
        (with_axis(CONV, base=2**31), "base cannot be 2147483648"),
        (with_step(CONV, phases=()), "a GEMM without phases"),
        (with_step(CONV, kernel_size=(3, 0)), "a kernel without taps"),
        (with_step(CONV, kernel_size=(2**31 - 1, 2**31 - 1)), "a constant of impossible size"),
        (with_step(CONV, kernel_size=(3, 4)), "constant l0.weight has 180 values"),
        (with_step(CONV, kernel_size="33"), "kernel_size cannot be '33'"),
        (with_step(POOL, kernel_size=(0, 3)), "a window that holds no pixel"),
        (with_step(POOL, stride=(2, 0)), "a window that holds no pixel"),
        (with_step(POOL, stride=(2, 7)), "a window that holds no pixel"),
        (with_step(POOL, pad_top=3), "a window that holds no pixel"),
        (with_step(POOL, pad_left=-1), "a window that holds no pixel"),
        (with_view(POOL, "output", buffer=0), "writes into an input"),
        (with_view(POOL, "output", buffer=9), "names no buffer"),
        (with_view(POOL, "input", offset=1), "lies outside its buffer"),
        (with_view(POOL, "input", offset=2**63 - 1), "lies outside its buffer"),
        (with_view(POOL, "input", pixel_stride=2**31), "an impossible shape"),
        (with_view(POOL, "input", height=2**29, width=2**29), "an impossible shape"),
        (with_view(CHAIN, "input", buffer=2), "writes over what it reads"),
        (with_buffer(POOL, 0, floats=0), "a buffer of impossible size"),
        (with_buffer(POOL, 0, floats=2**62), "a buffer of impossible size"),
        (with_buffer(POOL, 0, index=1), "not numbered from 0 on"),
        (with_buffer(CHAIN, 2, arena_offset=2**63 - 1), "lies outside the arena"),
        (replace(POOL, arena_floats=2**62), "an arena of impossible size"),
    ],
)
def test_programs_that_are_refused(program: Program, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        _native.CpuExecutable(program)


def test_these_programs_are_taken_unchanged() -> None:
    for program in (CONV, TRANSPOSED, POINT, SPARSE, POOL, CHAIN):
        _native.CpuExecutable(program)


def test_parts_of_a_concatenation_may_be_read_and_written() -> None:
    graph = Graph("parts")
    x = graph.input("x", Shape(3, 3, 2))
    first = graph.add("first", ReLU(), x)
    second = graph.add("second", ReLU(), graph.add("c", MaxPool2d(1), first))
    graph.output(graph.add("both", Concat(), first, second))
    batch = np.arange(18, dtype=np.float32).reshape(1, 3, 3, 2)
    expected = np.concatenate([batch, batch], axis=-1)
    np.testing.assert_array_equal(Runner(lower(graph, {}), "cpu")(batch), expected)


def misaligned(values: np.ndarray) -> np.ndarray:
    """A copy that begins one byte behind a multiple of its values' size."""
    memory = np.zeros(values.nbytes + values.itemsize, np.uint8)
    first = (1 - memory.ctypes.data) % values.itemsize
    odd = memory[first : first + values.nbytes].view(values.dtype).reshape(values.shape)
    odd[...] = values
    assert not odd.flags.aligned
    return odd


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: _native.CpuExecutable(RELU).run([x], [x.copy()], 1), "input 0 begins"),
        (lambda x: _native.CpuExecutable(RELU).run([x.copy()], [x], 1), "output 0 begins"),
        (lambda x: _native.format_rows(x.reshape(6, 24)), "values begins"),
        (lambda x: _native.rgb_to_lab(x.reshape(-1, 3), np.empty((48, 3), "f4")), "from begins"),
        (lambda x: _native.rgb_to_lab(np.zeros((48, 3), "u1"), x.reshape(-1, 3)), "to begins"),
    ],
)
def test_arrays_at_odd_addresses_are_refused(call: Callable[[Any], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call(misaligned(np.zeros((1, 6, 6, 4), np.float32)))


def test_constants_at_odd_addresses_are_refused() -> None:
    weight = misaligned(np.asarray(CONV.constants["l0.weight"]))
    with pytest.raises(ValueError, match="constant l0.weight begins at an odd address"):
        _native.CpuExecutable(replace(CONV, constants={**CONV.constants, "l0.weight": weight}))


def test_the_runner_copies_arrays_at_odd_addresses() -> None:
    batch = np.random.default_rng(1).standard_normal((2, 6, 6, 4)).astype(np.float32)
    runner = Runner(CONV, "cpu")
    np.testing.assert_array_equal(runner(misaligned(batch)), runner(batch))


def test_arrays_of_no_floats_but_many_images_are_refused() -> None:
    with pytest.raises(ValueError, match="input 0 must hold"):
        _native.CpuExecutable(CONV).run(
            [np.empty((2**60, 0), np.float32)], [np.empty((2**60, 0), np.float32)], 1
        )
