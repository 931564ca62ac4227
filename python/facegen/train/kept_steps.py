"""Steps on features that are kept, where a trainer on a GPU holds them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facegen.engine.cuda import memory_of
from facegen.engine.device import CPU
from facegen.engine.devices import parse_device
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

    @classmethod
    def of(
        cls,
        step: StepInParts,
        features: Sequence[Features] | None,
        labels: Callable[[], Sequence[np.ndarray]],
    ) -> KeptSteps | None:
        """None where there are no features, no GPU or no room on it, or other ranks.

        They take a quarter of its memory at most: a step and what is measured need room as well.
        """
        trainer = step.trainer
        if features is None or trainer.device == CPU or trainer.ranks is not None:
            return None
        memory = memory_of(parse_device(trainer.device).indices[0])
        targets = labels()
        there = sum(array.nbytes for each in features for array in each.arrays)
        there += sum(4 * each.size for each in targets)
        if memory is not None and there > memory // 4:
            return None
        try:
            return cls(step, features, targets)
        except MemoryError:
            return None

    def rows(self, samples: NDArray[np.int64], mirrored: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Of the data set that is held: a batch, as `several` takes it."""
        return samples + self._pictures * mirrored

    def several(self, batches: Sequence[NDArray[np.int64]]) -> list[np.ndarray]:
        """The losses of each of some batches that follow one another."""
        found: list[np.ndarray] = []
        for _, group in groupby(batches, len):
            rows = np.stack(list(group))
            alone = partial(self._on_the_host, rows)
            found += self._step.several(lambda: self._held, rows, alone)
        return found

    def _on_the_host(self, rows: NDArray[np.int64], step: int) -> np.ndarray:
        mirrored, samples = np.divmod(rows[step], self._pictures)
        plain, mirror = (each[samples] for each in self._labels)
        x = pick(self._features, samples, mirrored > 0)
        return self._step(x, either(plain, mirror, mirrored > 0))


def either(plain: np.ndarray, mirror: np.ndarray, mirrored: NDArray[np.bool_]) -> np.ndarray:
    """Of pictures (n, ...) and of their mirror images, those that are chosen."""
    return np.where(mirrored.reshape(-1, *[1] * (plain.ndim - 1)), mirror, plain)


def pick(
    features: Sequence[Features], samples: NDArray[np.int64], mirrored: NDArray[np.bool_]
) -> Any:
    """Features as a trainer takes them: of pictures, or of their mirror images."""
    plain, mirror = (each[samples] for each in features)
    return _alone([either(a, b, mirrored) for a, b in zip(plain, mirror, strict=True)])


def _alone(arrays: list[Any]) -> Any:
    return arrays[0] if len(arrays) == 1 else arrays
