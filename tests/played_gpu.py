"""A GPU that the CPU plays: training there changes copies, and the caller's arrays grow stale.

As on a real one, the arrays of the host are brought up to date by `download` alone, and trainers
that share an array share its copy. All else is computed by the CPU's engines, so that what a run
gives "on the GPU" has the CPU's bits, unless an array was read that was stale.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import pytest

from facegen.engine import Device, devices
from facegen.engine.cpu import CpuEngine
from facegen.engine.device import Kind
from facegen.errors import DeviceFailure
from facegen.nn.fit import fit
from facegen.nn.grad import TrainingProgram
from facegen.nn.program import Gemm, Program
from facegen.nn.target import find_target
from facegen.numbers.rounding import Rounding
from facegen.train import choose_engine, trainer
from facegen.train.augment import places
from facegen.train.augment.places import OnHost
from facegen.train.cpu_steps import CpuSteps
from facegen.train.step_engine import Outcome, StepEngine, Steps

DEVICE = "cuda:0"
LOST = (
    "cudaStreamSynchronize(stream_.get()): cudaErrorECCUncorrectable (uncorrectable ECC error "
    "encountered) at executable.cpp:240; this process cannot use the GPU any more: start it again, "
    "or use the CPU"
)


@dataclass
class Copy:
    """An array of the host's, and what it is on the device."""

    host: np.ndarray
    there: np.ndarray
    is_newer: bool = False


@dataclass
class PlayedGpu:
    """What was done there.

    Attributes
    ----------
    lost_at
        The step, over all trainers, in which the GPU is lost; None: it never is.
    programs
        How many were made ready there, beside training.
    precisions
        Those of the programs.
    """

    lost_at: int | None = None
    steps: int = 0
    programs: int = 0
    precisions: list[str] = field(default_factory=list)
    copies: dict[int, Copy] = field(default_factory=dict)  # by the place on the host

    def copy_of(self, host: np.ndarray) -> Copy:
        copy = self.copies.setdefault(host.ctypes.data, Copy(host, host.copy()))
        if not copy.is_newer:
            copy.there[...] = host
        return copy

    def make_steps(
        self,
        device: str,
        program: TrainingProgram,
        arrays: Mapping[str, np.ndarray],
        threads: int,
        precision: str,
        ranks: object,
        shares: int = 1,
        binary: Sequence[str] = (),
        rounding: Rounding | None = None,
        seed: int = 0,
    ) -> StepEngine:
        assert not binary and rounding is None  # GPUs have neither binary layers nor other formats
        if choose_engine.one_device(device).kind == "cpu":
            return CpuSteps(program, arrays, threads, precision, None)
        return PlayedSteps(self, program, arrays, threads)

    def make_engine(
        self, program: Program, device: Device, threads: int, precision: str, batch: int | None
    ) -> CpuEngine:
        fit(program, find_target("cuda", precision))  # refuses what a GPU has no kernel for
        self.programs += 1
        self.precisions.append(precision)
        # A GPU's "strict" has Winograd's convolution by its name, the CPU's has not.
        named = any(isinstance(s, Gemm) and s.algorithm == "winograd" for s in program.steps)
        return CpuEngine(program, Device("cpu"), threads, "float32" if named else precision, batch)


class PlayedSteps(CpuSteps):
    """As `CudaSteps`: copies of the caller's arrays are what the steps change."""

    device = DEVICE

    def __init__(
        self,
        gpu: PlayedGpu,
        program: TrainingProgram,
        arrays: Mapping[str, np.ndarray],
        threads: int,
    ) -> None:
        self._gpu = gpu
        self._copies = {name: gpu.copy_of(array) for name, array in arrays.items()}
        there = {name: copy.there for name, copy in self._copies.items()}
        super().__init__(program, there, threads, "strict", None)

    def run(self, steps: Steps) -> Outcome:
        if self._gpu.steps == self._gpu.lost_at:
            raise DeviceFailure(LOST)
        self._gpu.steps += 1
        before = {name: copy.there.copy() for name, copy in self._copies.items()}
        outcome = super().run(steps)
        for name, copy in self._copies.items():
            copy.is_newer |= not np.array_equal(copy.there, before[name])
        return outcome

    def found(self) -> np.ndarray:
        raise AssertionError("only ranks ask for this, which train on CPUs")

    def apply(
        self, found: np.ndarray, images: int, rates: Sequence[float], seed: int, number: int
    ) -> float:
        raise AssertionError("only ranks ask for this, which train on CPUs")

    def download(self) -> None:
        for copy in self._copies.values():
            if copy.is_newer:
                copy.host[...] = copy.there
                copy.is_newer = False

    def upload(self) -> None:
        for copy in self._copies.values():
            copy.there[...] = copy.host
            copy.is_newer = False


@contextmanager
def played_gpu(lost_at: int | None = None, gpus: int = 1) -> Iterator[PlayedGpu]:
    """While it is open, so many are there and usable, and no others."""
    gpu = PlayedGpu(lost_at)
    usable = tuple(range(gpus))
    kind = Kind("cuda", gpu.make_engine, lambda: "", lambda: usable, lambda i: f"played GPU {i}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(devices, "GPU_KINDS", (kind,))
        patch.setattr(trainer, "make_step_engine", gpu.make_steps)
        patch.setattr(places, "OnGpu", lambda index, threads: OnHost(threads))
        yield gpu
