"""All ways to run a program: the CPU's instruction sets, and kernels and precisions of a GPU.

A name of the second kind is "cuda KERNELS PRECISION", for example "cuda mma float32".
"""

from __future__ import annotations

import numpy as np
import pytest

from facegen import _native
from facegen.engine.cuda import cuda_module
from facegen.nn.fit import fit
from facegen.nn.program import Program
from facegen.nn.target import Target, find_target

ISAS = _native.available_isas()


def on_gpu(*names: str) -> list:
    """Parameters that are skipped without a GPU."""
    return [pytest.param(name, marks=pytest.mark.cuda) for name in names]


CPU_GEMM_ENGINES = [*ISAS, *_native.available_isas("bfloat16")]
# "cuda fma strict" and "cuda auto strict" differ in layers of few output channels.
GEMM_ENGINES = [
    *CPU_GEMM_ENGINES,
    *on_gpu(
        "cuda auto float32",
        "cuda mma float32",
        "cuda auto strict",
        "cuda fma strict",
        "cuda auto tf32",
        "cuda auto float16",
    ),
]
# For the ops that do not depend on the precision.
ENGINES = [*ISAS, *on_gpu("cuda auto float32")]


def device_of(engine: str) -> Target:
    """What a program is fitted to for an engine."""
    if not engine.startswith("cuda "):
        return find_target(f"cpu:{engine}")
    _, kernels, precision = engine.split()
    return _native.FitCuda(*cuda_module().devices()[0]["capability"], precision, kernels)


def run_program(
    program: Program,
    inputs: list[np.ndarray],
    outputs: list[np.ndarray],
    engine: str = ISAS[0],
    threads: int = 1,
) -> None:
    """Straight on the native engine, without the runner's checks and copies.

    All memory of a GPU starts as NaN.
    """
    program = fit(program, device_of(engine))
    if not engine.startswith("cuda "):
        _native.CpuExecutable(program, engine).run(inputs, outputs, threads)
        return
    _, kernels, precision = engine.split()
    cuda = cuda_module()
    executable = cuda.CudaExecutable(program, 0, precision, kernels, poison=True)
    count = len(inputs[0])
    executable.run(inputs, outputs, cuda.ChunkQueue(count, 1, max(count, 1)), threads)
