"""What a trainer changes: weights, what is kept beside them, and the count of steps."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from facegen.errors import FacegenError, FormatError
from facegen.nn import Graph
from facegen.nn.grad import Optimizer, TrainingProgram
from facegen.nn.lower import check_weights
from facegen.train import trainer_state
from facegen.train.arguments import check_arrays
from facegen.train.initial_weights import initial_weights
from facegen.train.step_engine import StepEngine


@dataclass
class _Counter:
    """Steps, and the trainers that count here and have some under way."""

    steps: int = 0
    ahead: list[TrainedArrays] = field(default_factory=list)


class TrainedArrays:
    """The part of a `Trainer` that its state is made of; it sets `_engine`.

    Parameters
    ----------
    moments_of
        Whose moments and count of steps these are too.
    """

    _engine: StepEngine

    def __init__(
        self,
        graph: Graph,
        program: TrainingProgram,
        optimizer: Optimizer,
        weights: Mapping[str, np.ndarray] | None,
        seed: int,
        moments_of: TrainedArrays | None,
    ) -> None:
        self.graph, self.program, self.optimizer, self.seed = graph, program, optimizer, seed
        # A step and its number, and gradients and their batch, belong together. A rate's schedule,
        # which is called meanwhile, may ask for the state.
        # Trainers that count the same steps are one here.
        self._lock: threading.RLock = threading.RLock() if moments_of is None else moments_of._lock
        self._counter: _Counter = _Counter() if moments_of is None else moments_of._counter
        if weights is None:
            weights = initial_weights(graph, seed) if moments_of is None else moments_of.weights
        check_weights(graph, weights)
        self._weights: dict[str, np.ndarray] = dict(weights)
        if moments_of is None:
            self._kept: dict[str, np.ndarray] = {
                name: np.zeros(shape, np.float32) for name, shape in program.state.items()
            }
            self._start_averages()
        else:
            self._kept = moments_of._kept
            if moments_of.program.state != program.state:
                raise ValueError("moments_of must have the same parameters and optimizer")

    @property
    def weights(self) -> dict[str, np.ndarray]:
        """The caller's arrays, which are changed, as the last step has left them."""
        self.sync()
        return self._weights

    def sync(self) -> None:
        """Copy what steps have changed from a GPU into the arrays on the host.

        Reading `weights`, `averages` or the state does so too. On the CPU there is nothing to copy.
        """
        with self._lock:
            self._settle()
            self._engine.download()

    @property
    def steps(self) -> int:
        """How many there have been, those that are not waited for among them.

        After `Diverged` those that were done. ValueError where it is set to what is no count.
        """
        return self._counter.steps

    @steps.setter
    def steps(self, steps: int) -> None:
        most = trainer_state.MOST_STEPS
        if not isinstance(steps, int | np.integer) or not 0 <= steps <= most:
            raise ValueError(f"steps must be a whole number from 0 to {most:,}, not {steps!r:.80}")
        with self._lock:
            self._settle()
            self._counter.steps = int(steps)

    @property
    def averages(self) -> dict[str, np.ndarray]:
        """The moving averages of the weights; batch norms' statistics as they are stored.

        FacegenError where the optimizer keeps none.
        """
        if self.optimizer.average is None:
            raise FacegenError("no averages: the optimizer has average=None")
        self.sync()
        return {
            name: self._kept.get(f"{name}:average", array).copy()
            for name, array in self._weights.items()
        }

    def state_dict(self) -> dict[str, np.ndarray]:
        """All that it takes to go on: copies of weights and moments, seed and number of steps."""
        with self._lock:
            self.sync()
            numbers = {"seed": self.seed, "steps": self.steps}
            return {
                **{name: array.copy() for name, array in self._arrays().items()},
                **{f":{name}": np.array(number, np.uint64) for name, number in numbers.items()},
            }

    def load_state_dict(self, state: Mapping[str, np.ndarray]) -> None:
        """Go on from a state: from here on, all is to the bit as if there had been no stop.

        Raises
        ------
        ValueError
            An array is missing, unknown, of another shape or type, not finite, or a variance below
            0; or the state is none. The trainer is then as it was.
        """
        check_arrays("the state", state)
        trainer_state.check(self.graph, self._arrays(), state)
        with self._lock:
            self._settle()
            self._engine.download()  # what no state has, of arrays that trainers share, stays
            for name, array in self._arrays().items():
                array[...] = state[name]
            self._engine.upload()
            self.seed, self._counter.steps = int(state[":seed"]), int(state[":steps"])

    def save(self, path: str | Path) -> None:
        """Write the state to a safetensors file, whole or not at all."""
        trainer_state.write(path, self.state_dict())

    def load(self, path: str | Path) -> None:
        """Go on from a file that `save` has written; FormatError where it does not fit."""
        found = trainer_state.read(path, self.graph, self._arrays())
        try:
            self.load_state_dict(found)
        except ValueError as error:
            raise FormatError(f"{path}: {error}") from None

    def _settle(self) -> None:
        """Wait for the steps that were begun, this trainer's or those that count the same."""
        while self._counter.ahead:
            self._counter.ahead[0]._finish_all()

    def _finish_all(self) -> None:
        """Wait for this trainer's, which is then ahead no more."""

    def _arrays(self) -> dict[str, np.ndarray]:
        """All that changes, by its name in a state."""
        return {**self._weights, **self._kept}

    def _start_averages(self) -> None:
        for name, array in self._kept.items():
            parameter, _, kind = name.rpartition(":")
            if kind == "average":
                array[...] = self._weights[parameter]
