"""Steps whose weights are kept in few bits: binary layers, and parameters that are rounded.

Binary layers learn as in Courbariaux et al. 2016: the weights that are kept are real numbers;
forward and backward see their signs; the gradient that is found for the signs changes the real
numbers, which are then clipped to -1 .. 1.

With a rounding every parameter is rounded after every update (Gupta et al. 2015): from the first on
nothing finer is kept of it. Gradients and the optimizer's moments stay float32.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace

import numpy as np

from facegen.nn.grad import TrainingProgram
from facegen.numbers.rounding import Rounding
from facegen.train.batch import Values
from facegen.train.cpu_steps import CpuSteps
from facegen.train.step_engine import Outcome, Steps


class RoundedSteps(CpuSteps):
    """See `StepEngine`.

    Parameters
    ----------
    binary
        Parameters of which steps see the signs.
    rounding
        Of the parameters that are trained.
    """

    def __init__(
        self,
        program: TrainingProgram,
        arrays: Mapping[str, np.ndarray],
        threads: int,
        precision: str,
        binary: Sequence[str],
        rounding: Rounding | None,
        seed: int,
    ) -> None:
        super().__init__(program, arrays, threads, precision, None)
        self._trained = {name: arrays[name] for name in program.trained}
        self._binary = {name: arrays[name] for name in binary}
        self._rounding, self._seed = rounding, seed

    def run(self, steps: Steps) -> Outcome:
        """One step: see `StepEngine`."""
        with self._signs():
            outcome = super().run(replace(steps, update=False))
        if outcome.not_finite is not None or not steps.update:
            return outcome
        try:
            rates = steps.rates[0].tolist()
            length = self.apply(self.found(), steps.images, rates, steps.seed, steps.number)
        except FloatingPointError as error:
            return Outcome([], str(error))
        return Outcome([length])

    def predict(
        self, inputs: Sequence[Values], seed: int, number: int, on_device: bool = False
    ) -> Sequence[np.ndarray]:
        """See `StepEngine`."""
        with self._signs():
            return super().predict(inputs, seed, number, on_device)

    def apply(
        self, found: np.ndarray, images: int, rates: Sequence[float], seed: int, number: int
    ) -> float:
        """See `StepEngine`."""
        length = super().apply(found, images, rates, seed, number)
        for name in self._binary.keys() & self._trained.keys():
            np.clip(self._binary[name], -1, 1, out=self._binary[name])
        self._round(number + 1)
        return length

    @contextmanager
    def _signs(self) -> Iterator[None]:
        """Meanwhile the binary weights are signs."""
        kept = {name: array.copy() for name, array in self._binary.items()}
        for array in self._binary.values():
            array[...] = np.where(array < 0, np.float32(-1), np.float32(1))
        try:
            yield
        finally:
            for name, real in kept.items():
                self._binary[name][...] = real

    def _round(self, step: int) -> None:
        if self._rounding is not None:
            for stream, array in enumerate(self._trained.values()):
                array[...] = self._rounding(array, self._seed, step, stream)
