"""What runs a trainer's steps: the CPU's engine, or a GPU's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from facegen._native import CpuTraining
from facegen.engine.cpu import choose_isa
from facegen.engine.cuda import cuda_module
from facegen.engine.device import CPU, Device
from facegen.engine.devices import parse_device
from facegen.engine.memory import check_memory
from facegen.errors import DeviceError, OutOfMemory
from facegen.nn.grad import TrainingProgram
from facegen.train.ranks import Ranks

if TYPE_CHECKING:
    from facegen._cuda import CudaTraining

_FLOAT_BYTES = 4


@dataclass(frozen=True)
class Batch:
    """What a step is given.

    Attributes
    ----------
    inputs, targets
        Of all images.
    losses
        (losses, images) float64, which the step fills.
    rates
        By groups of parameters.
    seed, number
        Of dropout; the number is that of the step, from 0.
    update
        Or leave everything but the gradients as it is.
    part_images
        Are computed at once.
    predicted
        Its forward pass has been done, by `predict`.
    """

    inputs: Sequence[np.ndarray]
    targets: Sequence[np.ndarray]
    losses: np.ndarray
    rates: Sequence[float]
    seed: int
    number: int
    update: bool
    part_images: int
    predicted: bool

    @property
    def images(self) -> int:
        return self.losses.shape[1]


class StepEngine(Protocol):
    """A program and the arrays that its steps change, made ready on a device."""

    @property
    def device(self) -> str:
        """As "cpu" or "cuda:0"."""

    @property
    def has_parts(self) -> bool:
        """Whether a batch can be computed in parts."""

    def step(self, batch: Batch) -> float:
        """One step; gives the gradient's length.

        FloatingPointError where a number is not finite, MemoryError where there is too little.
        """

    def predict(self, inputs: Sequence[np.ndarray], seed: int, number: int) -> list[np.ndarray]:
        """What each loss is of; MemoryError where there is too little."""

    def gradient(self, parameter: str) -> np.ndarray:
        """A copy of the last step's."""

    def kept(self, number: int) -> np.ndarray:
        """A copy of a value that the program keeps, of the last step."""

    def found(self) -> np.ndarray:
        """A copy of what the last step found, as `apply` takes it."""

    @property
    def found_floats(self) -> int:
        """How many numbers that are."""

    def apply(
        self, found: np.ndarray, images: int, rates: Sequence[float], number: int
    ) -> float:
        """The update by what was found in a batch of so many images; as `step`."""

    def download(self) -> None:
        """Make the caller's arrays what the steps have made of them."""

    def upload(self) -> None:
        """Make what the steps change what the caller's arrays are."""

    @property
    def kernels(self) -> list[str]:
        """What computes each product, step by step; empty for other steps."""

    @property
    def step_seconds(self) -> list[float]:
        """What each step of the program took in the last batch."""

    @property
    def memory_bytes(self) -> int:
        """Of values for the largest batch so far, and of gradients."""


class _Native:
    """What is the same of both kinds."""

    def __init__(self, program: TrainingProgram, native: Any) -> None:
        self._program, self._native = program, native

    def gradient(self, parameter: str) -> np.ndarray:
        """See `StepEngine`."""
        return self._native.gradient(parameter)

    def kept(self, number: int) -> np.ndarray:
        """See `StepEngine`."""
        return self._native.kept(number)

    @property
    def memory_bytes(self) -> int:
        """See `StepEngine`."""
        return self._native.memory_bytes


class CpuSteps(_Native):
    """On the CPU: the caller's arrays are what the steps change."""

    device = CPU
    has_parts = True

    def __init__(
        self,
        program: TrainingProgram,
        arrays: Mapping[str, np.ndarray],
        threads: int,
        precision: str,
        ranks: Ranks | None,
    ) -> None:
        super().__init__(program, CpuTraining(program, arrays, choose_isa(precision)))
        self._threads, self._ranks = threads, ranks

    def step(self, batch: Batch) -> float:
        """See `StepEngine`."""
        b = batch
        check_memory(
            _arena_bytes(self._program, min(b.part_images, b.images)),
            _batch_of(self._program, b.part_images),
        )
        return self._native.step(
            b.inputs, b.targets, b.losses, b.rates, b.seed, b.number, b.update, self._threads,
            b.part_images, b.predicted, self._ranks,
        )  # fmt: skip

    def predict(self, inputs: Sequence[np.ndarray], seed: int, number: int) -> list[np.ndarray]:
        """See `StepEngine`."""
        return self._native.predict(inputs, seed, number, self._threads)

    def found(self) -> np.ndarray:
        """See `StepEngine`."""
        return self._native.found()

    @property
    def found_floats(self) -> int:
        """See `StepEngine`."""
        return self._native.found_floats

    def apply(
        self, found: np.ndarray, images: int, rates: Sequence[float], number: int
    ) -> float:
        """See `StepEngine`."""
        return self._native.apply(found, images, rates, number, self._threads)

    def download(self) -> None:
        """Nothing is elsewhere."""

    def upload(self) -> None:
        """Nothing is elsewhere."""

    @property
    def kernels(self) -> list[str]:
        """See `StepEngine`."""
        return self._native.kernels

    @property
    def step_seconds(self) -> list[float]:
        """See `StepEngine`."""
        return self._native.step_seconds


class CudaSteps(_Native):
    """On one GPU, where copies of the caller's arrays are what the steps change."""

    has_parts = False

    def __init__(
        self, program: TrainingProgram, arrays: Mapping[str, np.ndarray], device: Device
    ) -> None:
        native: CudaTraining = cuda_module().CudaTraining(program, arrays, device.indices[0])
        super().__init__(program, native)
        self.device = str(device)
        self.download, self.upload = native.download, native.upload

    def step(self, batch: Batch) -> float:
        """See `StepEngine`."""
        b = batch
        with self._memory_for(b.images):
            return self._native.step(
                b.inputs, b.targets, b.losses, b.rates, b.seed, b.number, b.update, b.predicted
            )

    def predict(self, inputs: Sequence[np.ndarray], seed: int, number: int) -> list[np.ndarray]:
        """See `StepEngine`."""
        with self._memory_for(len(inputs[0])):
            return self._native.predict(inputs, seed, number)

    def found(self) -> np.ndarray:
        """None: it is for ranks, which are of CPUs."""
        raise self._stays()

    @property
    def found_floats(self) -> int:
        """As `found`."""
        raise self._stays()

    def apply(
        self, found: np.ndarray, images: int, rates: Sequence[float], number: int
    ) -> float:
        """As `found`."""
        raise self._stays()

    def _stays(self) -> ValueError:
        return ValueError(f"what a step finds stays on {self.device}; device='cpu' gives it")

    @contextmanager
    def _memory_for(self, images: int) -> Iterator[None]:
        """Says which batch it was that the GPU has no memory for."""
        try:
            yield
        except MemoryError:
            values_bytes = _arena_bytes(self._program, images)
            raise OutOfMemory(
                f"{_batch_of(self._program, images)}: takes more than {values_bytes:,} bytes of "
                f"memory on {self.device}, which are not free there"
            ) from None

    @property
    def kernels(self) -> list[str]:
        """See `StepEngine`: of the last batch."""
        return self._native.kernels

    @property
    def step_seconds(self) -> list[float]:
        """Each launched alone, on the last batch, whose values and gradients are then lost.

        The optimizer, which is one launch for all parameters, has none.
        """
        return self._native.time_steps()


def _arena_bytes(program: TrainingProgram, images: int) -> int:
    return _FLOAT_BYTES * images * program.arena_floats


def _batch_of(program: TrainingProgram, images: int) -> str:
    return f"a batch of {images:,} images of {program.name} in training"


def one_device(text: str) -> Device:
    """What `parse_device` makes of a text, where that is the CPU or one GPU; else DeviceError."""
    found = parse_device(text)
    if len(found.indices) > 1:
        raise DeviceError(f"training takes one GPU, not {found}")
    return found


def make_step_engine(
    device: str,
    program: TrainingProgram,
    arrays: Mapping[str, Any],
    threads: int,
    precision: str,
    ranks: Ranks | None,
) -> StepEngine:
    """The engine of a device: "cpu", "cuda", "cuda:1", or "auto".

    Raises
    ------
    DeviceError
        There is no such device, or it cannot be used.
    ValueError
        The device has no kernel for a step, or not this precision.
    """
    found = one_device(device)
    if found.kind == CPU:
        return CpuSteps(program, arrays, threads, precision, ranks)
    if precision not in ("strict", "float32"):
        raise ValueError(f"precision {precision!r} needs the CPU; GPUs train in float32")
    return CudaSteps(program, arrays, found)
