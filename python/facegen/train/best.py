"""The best weights of a run, by what is measured on the way; and when to stop."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np


class Best:
    """Keeps the weights with the lowest loss; goes into checkpoints.

    Parameters
    ----------
    weights
        Gives those of now; they are copied.
    patience
        So many measurements without a better one are enough.
    """

    def __init__(self, weights: Callable[[], Mapping[str, np.ndarray]], patience: int) -> None:
        self._now, self.patience = weights, patience
        self.loss, self.since, self.step = math.inf, 0, 0
        self.weights = {name: np.array(array) for name, array in weights().items()}

    def add(self, step: int, loss: float) -> bool:
        """A measurement; whether there has been no better one for too long."""
        if loss < self.loss:
            self.loss, self.since, self.step = loss, 0, step
            self.weights = {name: np.array(array) for name, array in self._now().items()}
        else:
            self.since += 1
        return self.since >= self.patience

    def state_dict(self) -> dict[str, np.ndarray]:
        counts = np.array([self.since, self.step], np.uint64)
        return {**self.weights, ":loss": np.array(self.loss), ":counts": counts}

    def load_state_dict(self, state: Mapping[str, np.ndarray]) -> None:
        for name, array in self.state_dict().items():
            found = state.get(name)
            if found is None or found.shape != array.shape or found.dtype != array.dtype:
                raise ValueError(f"expected {name} as {array.dtype} of shape {array.shape}")
            if name != ":loss" and not np.isfinite(found).all():
                raise ValueError(f"{name} has a number that is not finite")
        self.loss = float(state[":loss"])
        self.since, self.step = (int(each) for each in state[":counts"])
        self.weights = {name: np.array(state[name]) for name in self.weights}
