"""Every engine that runs a training program: the CPU's, by instruction set, and the GPU's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from facegen._native import CpuTraining, available_isas
from facegen.engine.cuda import cuda_module
from facegen.nn.grad import TrainingProgram

CUDA = "cuda"
# Hopper's products wherever they do a step; on other GPUs as CUDA.
HOPPER = "cuda wgmma"
GPUS = (CUDA, HOPPER)
_ON_GPU = [pytest.param(engine, marks=pytest.mark.cuda) for engine in GPUS]
ENGINES = [*available_isas(), *_ON_GPU]
DEVICES = ["cpu", _ON_GPU[0]]
STRICT = [*available_isas("strict"), *_ON_GPU]

FLOAT_EPS = 2.0**-24


def unit(engine: str | None) -> float:
    """The error of a product: of float32, of two numbers of bfloat16, or of three of them.

    x = hi + lo leaves 2^-18 of x, and lo lo is left out: below 2^-16 of a product together.
    """
    if engine in GPUS:
        return FLOAT_EPS * 2**8
    strict = engine is None or engine in available_isas("strict")
    return FLOAT_EPS * (1 if strict else 2**9)


class GpuTraining:
    """`CudaTraining` with the interface of `CpuTraining`: the arrays are the caller's."""

    def __init__(
        self,
        program: TrainingProgram,
        arrays: Mapping[str, np.ndarray],
        kernels: str = "auto",
        precision: str = "float32",
    ) -> None:
        self._native = cuda_module().CudaTraining(
            program, arrays, kernels=kernels, precision=precision, threads=1
        )
        self.gradient, self.kept = self._native.gradient, self._native.kept

    @property
    def kernels(self) -> list[str]:
        """What computes each product."""
        return self._native.kernels

    def step(
        self,
        x: Sequence[np.ndarray],
        y: Sequence[np.ndarray],
        losses: np.ndarray,
        rates: Sequence[float],
        seed: int,
        number: int,
        update: bool,
        threads: int,
    ) -> float:
        """One step; of a GPU there are no threads."""
        self._native.upload()
        length, rate = np.empty(1), np.array([rates], np.float64)
        _, not_finite = self._native.step(
            x, y, losses[np.newaxis], length, rate, seed, number, update, losses.shape[1], False
        )
        if not_finite:
            raise FloatingPointError(not_finite)
        self._native.download()
        return float(length[0])


def skip_without_hopper() -> None:
    """Other GPUs have not the kernels of wgmma and TMA, which a test asserts to have run."""
    if cuda_module().devices()[0]["capability"][0] != 9:
        pytest.skip("no GPU of Hopper's generation")


def make(program: TrainingProgram, arrays: Mapping[str, Any], engine: str | None) -> Any:
    """The engine: one of `GPUS`, an instruction set, or None for the best one."""
    if engine in GPUS:
        return GpuTraining(program, arrays, "wgmma" if engine == HOPPER else "auto")
    return CpuTraining(program, arrays, engine)
