"""Steps on the CPU: the caller's arrays are what they change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from facegen._native import ELSEWHERE, CpuTraining
from facegen.engine.cpu import choose_isa
from facegen.engine.device import CPU
from facegen.engine.memory import check_memory
from facegen.nn.grad import TrainingProgram
from facegen.train.batch import Arrays, Values, on_host
from facegen.train.ranks import Ranks
from facegen.train.step_engine import Outcome, Steps, arena_bytes, batch_of


class CpuSteps:
    """See `StepEngine`. With ranks each computes its part of every batch."""

    device = CPU

    def __init__(
        self,
        program: TrainingProgram,
        arrays: Mapping[str, np.ndarray],
        threads: int,
        precision: str,
        ranks: Ranks | None,
    ) -> None:
        self._program = program
        self._native = CpuTraining(program, arrays, choose_isa(precision))
        self._threads, self._ranks = threads, ranks
        self._images = 0  # of the last step

    def hold(self, data: Arrays) -> Arrays:
        """See `StepEngine`."""
        inputs, targets = ([on_host(values) for values in arrays] for arrays in data)
        return Arrays([*inputs], [*targets])

    def run(self, steps: Steps) -> Outcome:
        """One step: see `StepEngine`."""
        s = steps
        self._images = s.images
        inputs, targets = _of_one_step(s.data, None if s.rows is None else s.rows[0])
        check_memory(
            arena_bytes(self._program, min(s.part_images, s.images)),
            batch_of(self._program, s.part_images),
        )
        length, not_finite = 0.0, None
        losses, rates = s.losses[0], s.rates[0].tolist()
        try:
            length = self._native.step(
                inputs, targets, losses, rates, s.seed, s.number, s.update,
                self._threads, s.part_images, s.predicted, self._ranks,
            )  # fmt: skip
        except FloatingPointError as error:
            not_finite = str(error)
        if self._ranks:
            not_finite = _hear_of(not_finite, self._ranks)
            self._ranks.gather(losses, axis=1)
        return Outcome([length] if not_finite is None else [], not_finite)

    most_begun = 0  # a step is done when `run` returns: nobody begins one
    begun = 0

    def begin(self, steps: Steps) -> bool | None:
        """See `StepEngine`: it is not called, as `most_begun` is 0."""
        raise AssertionError("a step on the CPU is run")

    def finish(self, losses: np.ndarray) -> Outcome:
        """As `begin`."""
        raise AssertionError("a step on the CPU is run")

    def predict(
        self, inputs: Sequence[Values], seed: int, number: int, on_device: bool = False
    ) -> Sequence[np.ndarray]:
        """See `StepEngine`."""
        arrays = [on_host(values) for values in inputs]
        return self._native.predict(arrays, seed, number, self._threads)

    def gradient(self, parameter: str, on_device: bool = False) -> np.ndarray:
        """See `StepEngine`."""
        return self._native.gradient(parameter)

    def kept(self, number: int, on_device: bool = False) -> np.ndarray:
        """See `StepEngine`. Of ranks each has its part, and all call this."""
        own = self._native.kept(number)
        if self._ranks is None:
            return own
        values = np.zeros((self._images, *own.shape[1:]), np.float32)
        values[self._ranks.own(self._images)] = own
        self._ranks.gather(values.view(np.int32), axis=0)  # as bits, of which 0 changes none
        return values

    def found(self) -> np.ndarray:
        """See `StepEngine`."""
        return self._native.found()

    @property
    def found_floats(self) -> int:
        """See `StepEngine`."""
        return self._native.found_floats

    def apply(
        self, found: np.ndarray, images: int, rates: Sequence[float], seed: int, number: int
    ) -> float:
        """See `StepEngine`."""
        return self._native.apply(found, images, rates, seed, number, self._threads)

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

    @property
    def memory_bytes(self) -> int:
        """See `StepEngine`."""
        return self._native.memory_bytes


def _of_one_step(data: Arrays, rows: np.ndarray | None) -> list[list[np.ndarray]]:
    """Inputs and targets: those of the batch, or rows of a data set."""

    def chosen(values: Values) -> np.ndarray:
        array = on_host(values)
        return array if rows is None else array[rows]

    return [[chosen(values) for values in arrays] for arrays in data]


def _hear_of(not_finite: str | None, ranks: Ranks) -> str | None:
    """What the rank says where it began: the others have only stopped with it."""
    began = None if not_finite == ELSEWHERE else not_finite
    return ranks.first_word(began) or not_finite
