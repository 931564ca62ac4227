"""A moving average of weights, for a result smoother than those of any step (Polyak & Juditsky)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

import numpy as np

WARM_UP = 0.05  # the average never reaches back further than this share of the run so far


class MovingAverage:
    """Of weights that a trainer changes.

    Parameters
    ----------
    weights
        Gives those of now, float32 arrays by name; as they are when training begins at first.
    half_life
        Images after which a step's weights count half.
    names
        Those that are averaged; of the others the last are taken.
    """

    def __init__(
        self,
        weights: Callable[[], Mapping[str, np.ndarray]],
        half_life: float,
        names: Collection[str],
    ) -> None:
        self._now, self._half_life = weights, half_life
        first = weights()
        self._averages = {name: first[name].copy() for name in names}

    def update(self, seen: int, batch: int) -> None:
        """After a step of `batch` images, the last of the `seen` ones of the run."""
        half_life = min(self._half_life, max(1.0, WARM_UP * seen))
        share = np.float32(1 - 0.5 ** (batch / half_life))
        now = self._now()
        for name, average in self._averages.items():
            average += share * (now[name] - average)

    @property
    def weights(self) -> dict[str, np.ndarray]:
        """All weights, the averaged ones as their averages; copies."""
        return {
            name: self._averages.get(name, current).copy()
            for name, current in self._now().items()
        }

    def state_dict(self) -> dict[str, np.ndarray]:
        return {name: average.copy() for name, average in self._averages.items()}

    def load_state_dict(self, state: Mapping[str, np.ndarray]) -> None:
        """Go on from a state; ValueError where it does not fit."""
        if state.keys() != self._averages.keys():
            raise ValueError(f"expected averages of {', '.join(sorted(self._averages))}")
        for name, average in self._averages.items():
            given = state[name]
            if given.shape != average.shape or given.dtype != np.float32:
                raise ValueError(f"{name} must be float32 of shape {average.shape}")
            if not np.isfinite(given).all():
                raise ValueError(f"{name} has a number that is not finite")
        for name, average in self._averages.items():
            average[...] = state[name]
