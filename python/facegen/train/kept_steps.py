"""Steps on features that are kept, where a trainer on a GPU holds them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facegen.train.cut import Features
from facegen.train.in_parts import StepInParts
from facegen.train.pieces import Pieces


class KeptSteps:
    """Features of pictures and of their mirror images, held on the GPU; MemoryError without room.

    Parameters
    ----------
    step
        Of the trainer, for batches that do not fit beside them.
    features
        Of the pictures, and of their mirror images.
    labels
        Of the pictures, (n, ...), and of their mirror images.
    """

    def __init__(
        self, step: StepInParts, features: Sequence[Features], labels: Sequence[np.ndarray]
    ) -> None:
        self._step, self._features, self._labels = step, features, labels
        self._pictures = len(labels[0])
        both = [Pieces(pair) for pair in zip(*(each.arrays for each in features), strict=True)]
        self._held = step.trainer.hold(_alone(both), Pieces(labels))

    def rows(self, samples: NDArray[np.int64], mirrored: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Of the data set that is held: a batch, as `several` takes it."""
        return samples + self._pictures * mirrored

    def several(self, batches: Sequence[NDArray[np.int64]]) -> list[np.ndarray]:
        """The losses of each of some batches that follow one another."""
        found: list[np.ndarray] = []
        for size, group in groupby(batches, len):
            some = list(group)
            try:
                parts = min(self._step.parts, self._step.trainer.most_parts(size))
                found += list(self._step.trainer.run(self._held, np.stack(some), parts))
            except MemoryError:  # before any step
                found += [self._on_the_host(rows) for rows in some]
        return found

    def _on_the_host(self, rows: NDArray[np.int64]) -> np.ndarray:
        mirrored, samples = np.divmod(rows, self._pictures)
        x = pick(self._features, samples, mirrored.astype(bool))
        which = zip(mirrored, samples, strict=True)
        return self._step(x, np.stack([self._labels[mirror][sample] for mirror, sample in which]))


def pick(
    features: Sequence[Features], samples: NDArray[np.int64], mirrored: NDArray[np.bool_]
) -> Any:
    """Features as a trainer takes them: of pictures, or of their mirror images."""
    choose = mirrored[:, None, None, None]
    plain, mirror = (each[samples] for each in features)
    return _alone([np.where(choose, b, a) for a, b in zip(plain, mirror, strict=True)])


def _alone(arrays: list[Any]) -> Any:
    return arrays[0] if len(arrays) == 1 else arrays
