"""Random draws, image by image: image i of a seed is the same in every batch and process."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from facegen.train.faces.synthetic.fields import Array


class Draws:
    """One random stream an image; every method draws once from each.

    Parameters
    ----------
    seed
        Which world of faces.
    indices
        The images, each a number >= 0.
    """

    def __init__(self, seed: int, indices: Sequence[int]) -> None:
        self._streams = [np.random.default_rng((seed, index)) for index in indices]

    def __len__(self) -> int:
        return len(self._streams)

    def _column(self, draw: Callable[[np.random.Generator], float]) -> Array:
        values = [draw(stream) for stream in self._streams]
        return np.array(values, np.float32).reshape(-1, 1, 1, 1)

    def uniform(self, low: float = 0.0, high: float = 1.0) -> Array:
        """Evenly between ``low`` and ``high``, (n, 1, 1, 1)."""
        return self._column(lambda stream: low + (high - low) * stream.random())

    def normal(self, mean: float = 0.0, deviation: float = 1.0) -> Array:
        """Normal, held within 2.3 deviations so that no face is a monster, (n, 1, 1, 1)."""

        def draw(stream: np.random.Generator) -> float:
            return mean + deviation * min(max(stream.standard_normal(), -2.3), 2.3)

        return self._column(draw)

    def chance(self, probability: Array | float) -> Array:
        """1 with the given probability, else 0, (n, 1, 1, 1)."""
        return (self.uniform() < probability).astype(np.float32)

    def one_of(self, colours: Array) -> Array:
        """Any row of (k, 3), with the same chance each: (n, 3, 1, 1)."""
        chosen = (self.uniform().ravel() * len(colours)).astype(int)
        return colours[chosen].reshape(-1, 3, 1, 1)

    def grid(self, rows: int, columns: int, channels: int = 1) -> Array:
        """Standard normal values, (n, channels, rows, columns)."""
        shape = (channels, rows, columns)
        return np.stack([s.standard_normal(shape, dtype=np.float32) for s in self._streams])
