"""A program on the CPU."""

from __future__ import annotations

import math
import os
from dataclasses import replace
from typing import Any

import numpy as np

from facegen import _native
from facegen.engine.device import CPU, Call, CallerArray, Device
from facegen.errors import DeviceError
from facegen.nn.fit import fit
from facegen.nn.program import DEFINED_ALGORITHMS, Gemm, Program
from facegen.nn.target import find_target
from facegen.numbers.pixels import from_uint8, to_uint8

# Large enough to fill the tiles of the smallest maps, small enough that the activations of a
# batch stay in the outer cache and memory does not grow with the number of images.
MAX_BATCH = 32
# Where images are large, a batch's activations take at most so much: the colorizer's 21 MB an image
# make a batch of 12.
MAX_ARENA_BYTES = 256 << 20
# The inputs and outputs of a run's chunk take so much. That is little, so that little is lost when
# a run is killed, ranks share a short list evenly and the chunks between two threads are no burden;
# yet it is 84 faces, or 1,320 digits.
CHUNK_BYTES = 4 << 20
# The C library keeps smaller blocks by itself; larger ones it maps, and unmaps when they are gone.
POOLED_BYTES = 16 << 20


class CpuEngine:
    """Runs images in batches.

    Attributes
    ----------
    batch
        Most images computed at once.
    """

    device = CPU

    def __init__(
        self,
        program: Program,
        device: Device,
        threads: int,
        precision: str,
        max_batch: int | None,
    ) -> None:
        self.threads = threads
        self.batch = max_batch or _default_batch(program)
        if precision == "strict":
            program = _as_defined(program)
        isa = choose_isa(precision)
        fitted = fit(program, find_target(f"cpu:{isa}"))
        self._executable = _native.CpuExecutable(fitted, isa, threads)

    @property
    def isa(self) -> str:
        return self._executable.isa

    def chunk(self, item_bytes: int) -> int:
        """Items of a run's chunk: whole batches, one at least."""
        return self.batch * max(1, CHUNK_BYTES // (self.batch * item_bytes))

    def empty(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> np.ndarray:
        """Uninitialised memory for an output, where it is large from a pool."""
        if dtype.itemsize * math.prod(shape) >= POOLED_BYTES:
            return _native.empty_pooled(shape, dtype)
        return np.empty(shape, dtype)

    def run(self, inputs: list[np.ndarray], outputs: list[np.ndarray], count: int) -> None:
        """Compute outputs, float32 or pixels, of inputs that are either."""
        for first in range(0, count, self.batch):
            part = slice(first, first + self.batch)
            ins = [from_uint8(x[part]) if x.dtype == np.uint8 else x[part] for x in inputs]
            outs = [y[part] for y in outputs]
            values = [np.empty(y.shape, np.float32) if y.dtype == np.uint8 else y for y in outs]
            self._executable.run(ins, values, self.threads)
            for y, value in zip(outs, values, strict=True):
                if y is not value:
                    y[...] = to_uint8(value)

    def require_gpu(self, device: int) -> None:
        raise ValueError(
            f"the arrays are on GPU {device}, and this computes on the CPU; choose another device, "
            "or pass them on the host"
        )

    def prepare(
        self, device: int, inputs: list[CallerArray], outputs: list[CallerArray], count: int
    ) -> Call:
        raise AssertionError("the CPU is no GPU: require_gpu has said so")

    def time_steps(self, images: int, repeats: int) -> list[tuple[str, float]]:
        raise DeviceError(f"steps are measured on GPUs alone, and this computes on {self.device}")


def _default_batch(program: Program) -> int:
    image_bytes = 4 * max(program.arena_floats, 1)
    return max(1, min(MAX_BATCH, MAX_ARENA_BYTES // image_bytes))


def _as_defined(program: Program) -> Program:
    """The program with no algorithm of lower complexity than the definition's."""
    for step in program.steps:
        if isinstance(step, Gemm) and step.algorithm not in ("auto", *DEFINED_ALGORITHMS):
            raise ValueError(
                f'precision "strict" multiplies as the definition does, and {step.name} of '
                f"{program.name} asks for {step.algorithm!r}"
            )
    steps = tuple(
        replace(step, algorithm="direct")
        if isinstance(step, Gemm) and step.algorithm == "auto"
        else step
        for step in program.steps
    )
    return replace(program, steps=steps)


def choose_isa(precision: str) -> str:
    """The kernels for a precision: those that FACEGEN_ISA names, or the best."""
    if precision in ("tf32", "float16"):
        raise DeviceError(
            f"precision {precision!r} needs a GPU; "
            "the CPU has float32, strict and, with AMX, bfloat16"
        )
    try:
        chosen = _native.choose_isa()
    except ValueError as error:
        raise DeviceError(str(error)) from None
    if precision == "bfloat16":
        return _choose_bfloat16(chosen)
    if precision == "strict" and chosen not in (strict := _native.available_isas("strict")):
        if os.environ.get("FACEGEN_ISA"):
            raise DeviceError(
                f'FACEGEN_ISA={chosen} has no precision "strict"; expected one of: '
                + ", ".join(strict)
            )
        return strict[0]
    return chosen


def _choose_bfloat16(isa: str) -> str:
    available = _native.available_isas("bfloat16")
    name = f"{isa}_bfloat16"
    if name in available:
        return name
    if available and os.environ.get("FACEGEN_ISA"):
        raise DeviceError(f'FACEGEN_ISA={isa} has no precision "bfloat16"; expected amx')
    raise DeviceError(
        'precision "bfloat16" needs a processor with AMX (a Xeon of 2023 or later), '
        f"and the best here is {isa}; take float32"
    )
