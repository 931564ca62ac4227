"""A lowered Program, run step by step in NumPy float64 as program.py defines it.

Strict where an engine is not: all memory starts as NaN, so a value that is read before it is
written shows; and no step may write floats that it also reads.
"""

from __future__ import annotations

import numpy as np

from bench import reference
from facegen import nn
from facegen.nn.program import (
    ArgMax,
    Depthwise,
    Fill,
    Gemm,
    GlobalAvgPool,
    InstanceNorm,
    LayerNorm,
    Lrn,
    MaxPool,
    Pointwise,
    Program,
    Rearrange,
    Resample,
    Shuffle,
    Softmax,
    WithoutEpilogue,
    step_reads,
    step_writes,
)

WITHOUT_NUMBERS = (
    nn.ReLU(),
    nn.Sigmoid(),
    nn.Tanh(),
    nn.GELU(),
    nn.GELU(tanh=True),
    nn.Mish(),
    nn.Softplus(),
    nn.Exp(),
    nn.Log(),
    nn.Abs(),
    nn.Sqrt(),
    nn.Reciprocal(),
    nn.Sign(),
)

COMBINATIONS = {
    "add": np.add,
    "multiply": np.multiply,
    "maximum": np.maximum,
    "minimum": np.minimum,
}


class Memory:
    """Every buffer of a batch, and the arena they share."""

    def __init__(self, program: Program, inputs: list[np.ndarray]) -> None:
        self.program = program
        n = self.batch = len(inputs[0])
        self.arena = np.full((n, program.arena_floats), np.nan)
        self.inputs = [x.reshape(n, -1).astype(np.float64) for x in inputs]
        self.outputs = [np.full((n, view.floats), np.nan) for view in program.outputs]

    def indices(self, view) -> np.ndarray:
        """Positions of the view's floats in its buffer's memory, (h, w, c)."""
        buffer = self.program.buffers[view.buffer]
        pixels = np.arange(view.height * view.width).reshape(view.height, view.width, 1)
        indices = view.offset + pixels * view.pixel_stride + np.arange(view.channels)
        assert indices.min() >= 0 and indices.max() < buffer.floats, "a view leaves its buffer"
        if buffer.kind == "arena":
            assert buffer.arena_offset % 16 == 0
            assert buffer.arena_offset + buffer.floats <= self.program.arena_floats
            indices = indices + buffer.arena_offset
        return indices

    def floats(self, view) -> np.ndarray:
        buffer = self.program.buffers[view.buffer]
        if buffer.kind == "arena":
            return self.arena
        return (self.inputs if buffer.kind == "input" else self.outputs)[buffer.index]

    def read(self, view) -> np.ndarray:
        values = self.floats(view)[:, self.indices(view)]
        assert not np.isnan(values).any(), "a value is read before it is written"
        return values

    def write(self, view, values: np.ndarray) -> None:
        assert self.program.buffers[view.buffer].kind != "input", "a step writes into an input"
        self.floats(view)[:, self.indices(view)] = values

    def overlap(self, a, b) -> bool:
        if self.floats(a) is not self.floats(b):
            return False
        of_a = np.zeros(self.floats(a).shape[1], bool)  # np.intersect1d takes half a second
        of_a[self.indices(a)] = True
        return bool(of_a[self.indices(b)].any())


def run_program(program: Program, *inputs: np.ndarray) -> list[np.ndarray]:
    """All outputs, in float64."""
    memory = Memory(program, list(inputs))
    for step in program.steps:
        for written in step_writes(step):
            for view in step_reads(step):
                assert not memory.overlap(view, written), f"{step.name} overwrites what it reads"
        if isinstance(step, Fill):
            shape = (memory.batch, step.output.height, step.output.width, step.output.channels)
            y = np.broadcast_to(program.constants[step.value], shape)
        else:
            y = memory.read(step.input)
        y = _run(step, y, memory, program.constants)
        memory.write(step.output, y)
        if isinstance(step, Gemm | InstanceNorm) and step.copy is not None:
            memory.write(step.copy.view, np.maximum(y, 0) if step.copy.relu else y)
    return [memory.read(view) for view in program.outputs]


def _run(step, x, memory, constants):
    """The step on its input, and its finish on what it makes."""
    if isinstance(step, Gemm) and step.softmax_input:
        x = reference.softmax(x)
    y = _compute(step, x, constants)
    if not isinstance(step, WithoutEpilogue):
        y = _epilogue(step, y, memory, constants)
    if isinstance(step, Gemm) and step.finish is not None:
        y = _run(step.finish, y, memory, constants)
    return y


def _compute(step, x, constants):
    match step:
        case Fill():
            return x
        case Gemm():
            return _gemm(step, x, constants)
        case Depthwise():
            return _depthwise(step, x, constants)
        case MaxPool():
            return _max_pool(step, x)
        case InstanceNorm():
            gamma, beta = constants[step.gamma], constants[step.beta]
            return reference.group_norm(x, gamma, beta, groups=step.groups, eps=step.eps)
        case LayerNorm():
            gamma, beta = constants[step.gamma], constants[step.beta]
            return reference.layer_norm(x, gamma, beta, eps=step.eps)
        case Lrn():
            numbers = {"alpha": step.alpha, "beta": step.beta, "k": step.k}
            return reference.local_response_norm(x, size=step.size, **numbers)
        case Rearrange():
            larger = step.output.height > step.input.height
            definition = reference.depth_to_space if larger else reference.space_to_depth
            return definition(x, step.block, step.depth_first)
        case Shuffle():
            return reference.channel_shuffle(x, step.groups)
        case Softmax():
            return reference.log_softmax(x) if step.log else reference.softmax(x)
        case Resample():
            return _resample(x, _matrix(step.rows, x.shape[1]), _matrix(step.columns, x.shape[2]))
        case Pointwise():
            return x
        case ArgMax():
            return reference.argmax(x)
        case GlobalAvgPool():
            return reference.global_avg_pool2d(x)
    raise AssertionError(step)


def _gemm(step, x, constants):
    out = step.map
    weight = constants[step.weight].astype(np.float64)
    if step.centre_channels:
        taps = np.abs(weight[: step.centre_channels]).max(axis=(0, 3))
        assert np.count_nonzero(taps) <= 1
    assert weight.shape == (out.channels, *step.kernel_size, step.input.channels)
    y = np.full((len(x), out.height, out.width, out.channels), np.nan)
    for phase in step.phases:
        (ys, rows), (xs, columns) = _axis(phase.y), _axis(phase.x)
        shape = len(x), len(ys), len(xs), out.channels
        total = np.zeros((len(x) * len(ys) * len(xs), out.channels))  # one product a tap is quick
        for ty in range(phase.y.taps):
            for tx in range(phase.x.taps):
                tap = weight[
                    :,
                    phase.y.first_tap + ty * phase.y.tap_step,
                    phase.x.first_tap + tx * phase.x.tap_step,
                ]
                pixels = _gather(x, rows[:, ty], columns[:, tx])
                total += pixels.reshape(len(total), -1) @ tap.T
        assert np.isnan(y[:, ys[:, None], xs]).all(), "two phases write one output"
        y[:, ys[:, None], xs] = total.reshape(shape)
    return y if step.bias is None else y + constants[step.bias]


def _axis(axis):
    """Positions of the outputs (o,) and of what they read (o, t)."""
    outputs = np.arange(axis.out)
    reads = outputs[:, None] * axis.step + np.arange(axis.taps) * axis.dir + axis.base
    return axis.out_origin + outputs * axis.out_step, reads


def _gather(x, rows, columns):
    """Pixels at all (row, column); zeros outside."""
    inside_y = (rows >= 0) & (rows < x.shape[1])
    inside_x = (columns >= 0) & (columns < x.shape[2])
    pixels = x[:, np.where(inside_y, rows, 0)[:, None], np.where(inside_x, columns, 0)]
    return pixels * (inside_y[:, None] & inside_x)[None, :, :, None]


def _matrix(axis, size):
    """(outputs, inputs)."""
    positions = np.array(axis.positions).reshape(-1, axis.taps)
    weights = np.array(axis.weights).reshape(-1, axis.taps)
    matrix = np.zeros((len(positions), size + 1))  # the last column is what -1 names
    for tap in range(axis.taps):
        np.add.at(matrix, (np.arange(len(positions)), positions[:, tap]), weights[:, tap])
    return matrix[:, :-1]


def _resample(x, rows, columns):
    return np.einsum("oh,pw,nhwc->nopc", rows, columns, x, optimize=True)


def _depthwise(step, x, constants):
    out = step.output
    weight = constants[step.weight].astype(np.float64)
    assert weight.shape == (*step.kernel_size, step.input.channels)
    y = np.zeros((len(x), out.height, out.width, out.channels))
    for ty in range(step.kernel_size[0]):
        for tx in range(step.kernel_size[1]):
            rows = np.arange(out.height) * step.stride[0] - step.pad_top + ty * step.dilation[0]
            columns = np.arange(out.width) * step.stride[1] - step.pad_left + tx * step.dilation[1]
            y += _gather(x, rows, columns) * weight[ty, tx]
    return y if step.bias is None else y + constants[step.bias]


def _max_pool(step, x):
    out = step.output
    kernel_h, kernel_w = step.kernel_size
    y = np.full((len(x), out.height, out.width, out.channels), -np.inf)
    for oy in range(out.height):
        for ox in range(out.width):
            y0, x0 = oy * step.stride[0] - step.pad_top, ox * step.stride[1] - step.pad_left
            window = x[:, max(y0, 0) : y0 + kernel_h, max(x0, 0) : x0 + kernel_w]
            y[:, oy, ox] = window.max(axis=(1, 2))
    return y


def _epilogue(step, y, memory, constants):
    epilogue = step.epilogue
    if epilogue.other is not None:
        other = memory.read(epilogue.other)
        if isinstance(step, Gemm):
            assert other.shape == y.shape
        if not epilogue.after_activation:
            y = COMBINATIONS[epilogue.combine](y, other)
    y = _activate(epilogue, y, constants)
    if epilogue.other is not None and epilogue.after_activation:
        y = COMBINATIONS[epilogue.combine](y, other)
    if epilogue.scale is not None:
        y = y * constants[epilogue.scale]
    if epilogue.shift is not None:
        y = y + constants[epilogue.shift]
    return y


def _activate(epilogue, y, constants):
    alpha, beta = epilogue.alpha, epilogue.beta
    match epilogue.activation:
        case "none":
            return y
        case "prelu":
            return reference.prelu(y, constants[epilogue.slopes])
        case "leaky_relu":
            return reference.leaky_relu(y, alpha)
        case "clip":
            return np.clip(y, alpha, beta)
        case "elu" | "hard_sigmoid" | "hard_swish":
            kind = {"elu": nn.ELU, "hard_sigmoid": nn.HardSigmoid, "hard_swish": nn.HardSwish}
            return reference.activation(kind[epilogue.activation](alpha, beta), y)
        case "silu":
            return reference.activation(nn.SiLU(alpha), y)
        case kind:
            layers = {layer.kind: layer for layer in WITHOUT_NUMBERS}
            return reference.activation(layers[kind], y)
