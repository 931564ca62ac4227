"""Steps on a GPU, where copies of the caller's arrays are what they change."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from facegen.engine.cuda import cuda_module
from facegen.engine.device import Device
from facegen.errors import OutOfMemory
from facegen.nn.grad import TrainingProgram
from facegen.train.batch import Arrays, Values, native
from facegen.train.gpu_ranks import connect
from facegen.train.ranks import Ranks
from facegen.train.step_engine import Outcome, Steps, arena_bytes, batch_of

if TYPE_CHECKING:
    from facegen._cuda import CudaHeld, CudaTraining, DeviceArray


class CudaSteps:
    """See `StepEngine`. With ranks each computes its part of every batch, on a GPU of its own."""

    def __init__(
        self,
        program: TrainingProgram,
        arrays: Mapping[str, np.ndarray],
        device: Device,
        precision: str,
        ranks: Ranks | None,
        shares: int,
        threads: int,
    ) -> None:
        self._program, self._arrays, self._index = program, arrays, device.indices[0]
        self._cuda, self._ranks = cuda_module(), ranks
        self.device = str(device)
        peers = None if ranks is None else connect(ranks, self._index)
        try:
            self._native: CudaTraining = self._cuda.CudaTraining(
                program,
                arrays,
                self._index,
                precision=_of_products(precision, self._capability()),
                peers=peers,
                shares=shares,
                threads=threads,
            )
        except MemoryError as error:
            what = f"weights, moments and gradients of {program.name} in training"
            raise OutOfMemory(f"{what} on {self.device}: {error}") from None
        self.download, self.upload = self._native.download, self._native.upload
        # Ranks wait: whose graphs share connections have to run in the same order everywhere.
        self.most_begun = 0 if ranks is not None else self._native.most_begun

    def hold(self, data: Arrays) -> CudaHeld:
        """See `StepEngine`."""
        images = len(data.inputs[0])
        try:
            return self._native.hold(_natives(data.inputs), _natives(data.targets), images)
        except MemoryError as error:
            what = f"a data set of {images:,} images for {self._program.name}"
            raise OutOfMemory(f"{what} on {self.device}: {error}") from None

    def run(self, steps: Steps) -> Outcome:
        """All of the steps: see `StepEngine`."""
        s = steps
        lengths = np.empty(len(s))
        with self._memory_for(min(s.images, s.part_images)):
            if s.rows is None:
                done, not_finite = self._native.step(
                    _natives(s.data.inputs), _natives(s.data.targets), s.losses, lengths, s.rates,
                    s.seed, s.number, s.update, s.part_images, s.predicted,
                )  # fmt: skip
            else:
                done, not_finite = self._native.run(
                    s.data, s.rows, s.losses, lengths, s.rates, s.seed, s.number, s.part_images
                )
        if not_finite and self._ranks is not None:
            found = self._ranks.all([self._native.not_finite_at, not_finite])
            not_finite = min(found, key=lambda each: each[0])[1]  # what came first
        return Outcome(lengths[:done].tolist(), not_finite or None)

    @property
    def begun(self) -> int:
        """See `StepEngine`."""
        return self._native.begun

    def begin(self, steps: Steps) -> bool | None:
        """See `StepEngine`."""
        s = steps
        with self._memory_for(min(s.images, s.part_images)):
            return self._native.begin(
                _natives(s.data.inputs), _natives(s.data.targets), s.losses, np.empty(1), s.rates,
                s.seed, s.number, s.update, s.part_images, s.predicted,
            )  # fmt: skip

    def finish(self, losses: np.ndarray) -> Outcome:
        """See `StepEngine`."""
        length = np.empty(1)
        done, not_finite = self._native.finish(losses, length)
        return Outcome(length[:done].tolist(), not_finite or None)

    def predict(
        self, inputs: Sequence[Values], seed: int, number: int, on_device: bool = False
    ) -> Sequence[np.ndarray | DeviceArray] | None:
        """See `StepEngine`."""
        arrays, images = _natives(inputs), len(inputs[0])
        with self._memory_for(images):
            if not on_device:
                return self._native.predict(arrays, images, seed, number)
            values = self._program.values
            to = [
                self._empty((images, *values[loss.prediction].shape))
                for loss in self._program.losses
            ]
            return to if self._native.put_predictions(arrays, images, seed, number, to) else None

    def gradient(self, parameter: str, on_device: bool = False) -> np.ndarray | DeviceArray:
        """See `StepEngine`."""
        if not on_device:
            return self._native.gradient(parameter)
        array = self._empty(self._arrays[parameter].shape)
        self._native.put_gradient(parameter, array)
        return array

    def kept(self, number: int, on_device: bool = False) -> np.ndarray | DeviceArray:
        """See `StepEngine`."""
        if not on_device:
            return self._native.kept(number)
        shape = self._program.values[self._program.kept[number]].shape
        array = self._empty((self._native.last_images, *shape))
        self._native.put_kept(number, array)
        return array

    def _capability(self) -> int:
        gpus = self._cuda.devices()
        return next(gpu["capability"][0] for gpu in gpus if gpu["index"] == self._index)

    def _empty(self, shape: Sequence[int]) -> DeviceArray:
        array: DeviceArray = self._cuda.DeviceArray(
            shape, "float32", self._index, ordered=True
        )
        return array

    def found(self) -> np.ndarray:
        """None: it is for asynchronous ranks, which are of CPUs."""
        raise self._stays()

    @property
    def found_floats(self) -> int:
        """As `found`."""
        raise self._stays()

    def apply(
        self, found: np.ndarray, images: int, rates: Sequence[float], seed: int, number: int
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
            values_bytes = arena_bytes(self._program, images)
            raise OutOfMemory(
                f"{batch_of(self._program, images)}: takes more than {values_bytes:,} bytes of "
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

    @property
    def memory_bytes(self) -> int:
        """See `StepEngine`."""
        return self._native.memory_bytes


def _natives(arrays: Sequence[Values]) -> list[Any]:
    return [native(array) for array in arrays]


def _of_products(precision: str, capability: int) -> str:
    """What a GPU calls a trainer's precision; ValueError where it has none such."""
    if precision in ("strict", "float32"):
        return "float32"
    if precision not in ("bfloat16", "float16"):
        expected = "float32, bfloat16 or float16"
        raise ValueError(f"on GPUs precision must be {expected}, not {precision!r}")
    if capability != 9:
        raise ValueError(f"precision {precision!r} in training needs a GPU of Hopper's generation")
    return precision
