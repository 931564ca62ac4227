"""Programs handed straight to the native engine.

Valid ones must give what the interpreter of the tests gives. Hostile ones, with fields and arrays
that do not fit, must be refused, or run without a write beside their outputs. What devices say of
the hostile steps of fitted programs must be an answer or a refusal.
"""

from __future__ import annotations

import sys
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

import tolerance
from facegen import _native
from facegen.nn import (
    Add,
    Concat,
    Conv2d,
    ConvTranspose2d,
    GlobalAvgPool2d,
    Graph,
    InstanceNorm,
    LeakyReLU,
    MaxPool2d,
    ReLU,
    Shape,
    Tanh,
    Upsample,
    lower,
)
from facegen.nn import program as lowered
from facegen.nn.fit import fit
from facegen.nn.program import ALGORITHM_NAMES, Copy, Gemm, Program, Step
from facegen.nn.target import ARCHITECTURES, find_target
from merged_graphs import BUILDERS
from random_weights import random_weights

sys.path.insert(0, str(Path(__file__).parents[2] / "tests" / "nn"))
from interpreter import run_program  # noqa: E402

import graphs  # noqa: E402

Rng = np.random.Generator
REFUSALS = TypeError, ValueError, AttributeError, MemoryError
NUMBERS: list[Any] = [
    0, 1, -1, 2, 3, 4, 7, 16, 64, -2, -7, 2**15, 2**29, 2**30, 2**31 - 1, -(2**31), 2**31,
    2**32, 2**46, 2**62, 2**63 - 1, -(2**63), 2**64,
]  # fmt: skip
OTHERS: list[Any] = [None, "", "relu", "tanh", "none", "x.weight", 1.5, True, (), (1, 2), [], {}]
UNITS = 2**13  # of rounding: see tests/nn/test_native.py
GUARD = 64  # floats around each array
MOST_FLOATS = 1 << 20  # of a hostile program that is run
PRECISIONS = ["float32", "strict", "tf32", "float16"]


def one_round(rng: Rng) -> None:
    for _ in range(4):
        graph = (
            random_graph(rng)
            if rng.integers(2)
            else graphs.random_graph(int(rng.integers(1 << 30)), kinds=graphs.ALL_KINDS)
        )
        program = lower(graph, random_weights(graph, rng), str(rng.choice(["auto", "direct"])))
        check_valid(rng, program)
        for _ in range(25):
            try_hostile(rng, mutated(rng, program))
        try_arrays(rng, program)
        try_fitted(rng, program)
    graph = Graph("merged")
    list(BUILDERS)[rng.integers(len(BUILDERS))](graph)  # whose kernels small graphs do not get
    ask_hostile(rng, lower(graph, None))


def try_fitted(rng: Rng, program: Program) -> None:
    """Programs that are fitted to any device, changed and given to the CPU."""
    fitted = fit(program, any_device(rng))
    for _ in range(10):
        try_hostile(rng, mutated(rng, grafted(rng, fitted) if rng.integers(2) else fitted))
    ask_hostile(rng, program)


def ask_hostile(rng: Rng, program: Program) -> None:
    """Devices are asked about the steps of a fitted program that were changed."""
    fitted = fit(program, any_device(rng))
    for _ in range(20):
        changed_one = mutated(rng, grafted(rng, fitted) if rng.integers(2) else fitted)
        device = any_device(rng)
        if not isinstance(changed_one.steps, tuple):
            continue
        for step in changed_one.steps:
            for ask in device.kernel, device.input_format:
                try:
                    ask(step, changed_one.buffers)
                except REFUSALS:
                    continue


def any_device(rng: Rng) -> Any:
    if rng.integers(4) == 0:
        return find_target("cpu:portable")
    name = list(ARCHITECTURES)[rng.integers(len(ARCHITECTURES))]
    kernels = ["auto", "auto", "auto", "mma", "fma"][rng.integers(5)]
    return find_target(f"cuda:{name}", PRECISIONS[rng.integers(4)], kernels)


def grafted(rng: Rng, program: Program) -> Program:
    """A step has something besides its op that another step has, or is."""
    steps: list[Step] = list(program.steps)
    at, other = rng.integers(len(steps), size=2)
    step = steps[at]
    if isinstance(step, Gemm) and rng.integers(2):
        match rng.integers(4):
            case 0:
                finish: Any = steps[other]
                steps[at] = replace(step, finish=finish, output=finish.output)
            case 1:
                steps[at] = replace(step, softmax_input=True)
            case 2:
                steps[at] = replace(step, centre_channels=int(rng.integers(step.map.channels + 1)))
            case _:
                steps[at] = replace(step, algorithm=str(rng.choice(ALGORITHM_NAMES)))
    elif isinstance(step, Gemm | lowered.InstanceNorm):
        copy = Copy(steps[other].output, bool(rng.integers(2)))
        steps[at] = replace(step, copy=copy) if rng.integers(2) else replace(step, slices=True)
    return replace(program, steps=tuple(steps))


def random_graph(rng: Rng) -> Graph:
    """A short chain of layers of any window and of enough channels for every algorithm."""
    graph = Graph("random")
    side = int(rng.integers(1, 20))
    x = graph.input("x", Shape(side, int(rng.integers(1, 24)), int(rng.choice([1, 3, 16, 24]))))
    for i in range(rng.integers(1, 5)):
        height, width, channels = x.shape
        out = int(rng.choice([1, 2, 3, 5, 16, 17, 32, 48]))
        kernel = int(rng.integers(1, 6)), int(rng.integers(1, 6))
        stride = int(rng.integers(1, 4)), int(rng.integers(1, 4))
        padding = tuple((int(rng.integers(0, k + 1)), int(rng.integers(0, k + 1))) for k in kernel)
        dilation = int(rng.choice([1, 1, 1, 2, 3]))
        inputs = [x]
        match rng.integers(10):
            case 0 | 1 | 2:
                layer: Any = Conv2d(channels, out, kernel, stride, padding, dilation)
            case 3 | 4:
                layer = ConvTranspose2d(channels, out, kernel, stride, padding)
            case 5:
                layer = MaxPool2d(kernel, stride, ceil_mode=bool(rng.integers(2)))
            case 6 if height * width > 1:  # the norm of a map of one value is its rounding
                layer = Upsample(size=(int(rng.integers(1, 20)), int(rng.integers(1, 20))))
            case 7:
                layer = InstanceNorm(channels) if height * width > 8 else GlobalAvgPool2d()
            case 8:
                layer, inputs = (Add() if rng.integers(2) else Concat()), [x, x]
            case _:
                layer = [ReLU(), LeakyReLU(0.2), Tanh()][rng.integers(3)]
        try:
            shape = layer.output_shape(*(tensor.shape for tensor in inputs))
        except ValueError:
            continue  # the window does not fit
        if shape.floats < 60000:
            x = graph.add(f"l{i}", layer, *inputs)
    graph.output(x)
    return graph


def guarded(shape: tuple[int, ...], value: float = np.nan) -> tuple[np.ndarray, np.ndarray]:
    """An array, and the memory that it is the middle of."""
    size = int(np.prod(shape))
    memory = np.full(size + 2 * GUARD, np.float32(value))
    memory[:GUARD] = memory[GUARD + size :] = 12345.0
    return memory[GUARD : GUARD + size].reshape(shape), memory


def check_guards(memories: list[np.ndarray]) -> None:
    for memory in memories:
        assert (memory[:GUARD] == 12345.0).all() and (memory[-GUARD:] == 12345.0).all(), (
            "floats beside an output were written"
        )


def check_valid(rng: Rng, program: Program) -> None:
    """Against the interpreter, which also sees what is read before it is written."""
    images = int(rng.integers(1, 4))
    inputs = [
        rng.standard_normal((images, v.height, v.width, v.channels)).astype(np.float32)
        for v in program.inputs
    ]
    pairs = [guarded((images, v.height, v.width, v.channels)) for v in program.outputs]
    isas = _native.available_isas()
    isa = isas[rng.integers(len(isas))]
    fitted = fit(program, find_target(f"cpu:{isa}")) if rng.random() < 0.7 else program
    _native.CpuExecutable(fitted, isa).run(
        inputs, [array for array, _ in pairs], int(rng.integers(1, 5))
    )
    check_guards([memory for _, memory in pairs])
    for (got, _), want in zip(pairs, run_program(program, *inputs), strict=True):
        magnitude = float(np.sqrt((want**2).mean())) + 1e-3
        tolerance.assert_within(got, want, tolerance.roundings(UNITS, magnitude))


def mutated(rng: Rng, program: Program) -> Program:
    for _ in range(rng.integers(1, 4)):
        program = changed(rng, program)
    return program


def changed(rng: Rng, value: Any) -> Any:
    """`value` with something in it replaced."""
    if is_dataclass(value) and not isinstance(value, type):
        names = [field.name for field in fields(value)]
        # Most of a program is its steps.
        likely = "steps" if "steps" in names and rng.random() < 0.6 else None
        name = likely or names[rng.integers(len(names))]
        return replace(value, **{name: changed(rng, getattr(value, name))})
    if isinstance(value, tuple) and value:
        if rng.random() < 0.1:
            return value[rng.integers(len(value)) :] + value[: rng.integers(len(value) + 1)]
        at = int(rng.integers(len(value)))
        return value[:at] + (changed(rng, value[at]),) + value[at + 1 :]
    if isinstance(value, dict) and value:
        key = list(value)[rng.integers(len(value))]
        return {**value, key: changed_constant(rng, value[key])}
    if isinstance(value, int) and not isinstance(value, bool) and rng.random() < 0.9:
        number = NUMBERS[rng.integers(len(NUMBERS))]
        return value + int(rng.integers(-3, 4)) if rng.random() < 0.5 else number
    everything = NUMBERS + OTHERS
    return everything[rng.integers(len(everything))]


def changed_constant(rng: Rng, value: Any) -> Any:
    if not isinstance(value, np.ndarray):
        return value  # changed before
    match rng.integers(6):
        case 0:
            return value.ravel()[:-1].copy()
        case 1:
            return value.astype(np.float64)
        case 2:
            return value.astype(">f4")
        case 3:
            return np.asfortranarray(np.broadcast_to(value, (2, *value.shape)))[1]
        case 4:
            odd = np.frombuffer(bytearray(value.nbytes + 1), np.float32, value.size, offset=1)
            return odd.reshape(value.shape)
        case _:
            return OTHERS[rng.integers(len(OTHERS))]


def try_hostile(rng: Rng, program: Program) -> None:
    """It is refused, or runs without writing beside its outputs."""
    try:
        executable = _native.CpuExecutable(program, _native.available_isas()[0])
    except REFUSALS:
        return
    buffers = sorted(program.buffers, key=lambda buffer: buffer.index)
    if sum(buffer.floats for buffer in buffers) + program.arena_floats > MOST_FLOATS:
        return
    images = int(rng.integers(0, 3))
    inputs = [guarded((images, int(b.floats)), 0.5)[0] for b in buffers if b.kind == "input"]
    pairs = [guarded((images, int(b.floats))) for b in buffers if b.kind == "output"]
    try:
        executable.run(inputs, [array for array, _ in pairs], int(rng.integers(1, 4)))
    except REFUSALS:
        assert not inputs and not pairs, "a program that was taken does not run"
    check_guards([memory for _, memory in pairs])


def try_arrays(rng: Rng, program: Program) -> None:
    """A valid program, given arrays that may not fit."""
    executable = _native.CpuExecutable(program, _native.available_isas()[0])
    shapes = [(2, v.height, v.width, v.channels) for v in (*program.inputs, *program.outputs)]
    for _ in range(10):
        arrays: list[Any] = [np.zeros(shape, np.float32) for shape in shapes]
        for _ in range(rng.integers(1, 3)):
            at = int(rng.integers(len(arrays)))
            arrays[at] = changed_array(rng, np.zeros(shapes[at], np.float32))
        some = len(program.inputs) + int(rng.choice([0, 0, 0, -1, 1]))
        threads = [1, 2, 10**6, 0, -1, 2**40, 2**70][rng.integers(7)]
        try:
            executable.run(arrays[:some], arrays[some:], threads)
        except REFUSALS:
            continue


def changed_array(rng: Rng, value: np.ndarray) -> Any:
    match rng.integers(8):
        case 0:
            return value[:, :-1]
        case 1:
            return np.zeros((2**40, 0), np.float32)
        case 2:
            value.flags.writeable = False
            return value
        case 3:
            return value[::-1]
        case 4:
            return np.zeros((2**60, 1, 1, 0), np.float32)
        case 5:
            return np.zeros((), np.float32)
        case _:
            return changed_constant(rng, value)
