"""Digits as training shows them: moved, turned, sheared and scaled a little, anew in each epoch."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from facegen.engine.device import CPU
from facegen.train.ahead import AHEAD
from facegen.train.augment import Augmentation, Change
from facegen.train.augment.change import joined
from facegen.train.augment.places import place_of
from facegen.train.in_parts import StepInParts
from facegen.train.loop import MOST_TOGETHER
from facegen.train.order import Batch, Order

# Digits stand on black.
DISTORTION = Augmentation(
    translate=0.08, rotate=12.0, shear=8.0, scale=0.12, stretch=0.1, border="black"
)


class Distorted(Protocol):
    """Steps on distorted images: to the bit the same pictures, wherever they are distorted.

    Attributes
    ----------
    together
        Whether many batches a call of `steps` are learned faster than one.
    ahead, workers
        As for `facegen.train.Loop`.
    """

    together: bool
    ahead: int
    workers: int | None

    def read(self, number: int) -> Any:
        """The batch of a step; by other threads, ahead of it."""

    def steps(self, batches: Sequence[Any]) -> list[np.ndarray]:
        """The losses of batches, one behind the other."""


def distorted(
    step: StepInParts, order: Order, x: NDArray[np.float32], y: NDArray[np.uint8]
) -> Distorted:
    """Where the step's trainer is; images (n, 28, 28, 1) and their labels (n,)."""
    if step.trainer.device == CPU:
        return DistortedAhead(step, order, x, y)
    return DistortedOnGpu(step, order, x, y)


class DistortedAhead:
    """See `Distorted`: by the threads that read."""

    together = False
    ahead = AHEAD
    workers: int | None = None

    def __init__(
        self, step: StepInParts, order: Order, x: NDArray[np.float32], y: NDArray[np.uint8]
    ) -> None:
        self._step, self._order, self._x, self._y = step, order, x, y

    def read(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """See `Distorted`."""
        batch = self._order(number)
        shown = DISTORTION(self._x[batch.samples], batch.random, threads=1)
        return shown, self._y[batch.samples]

    def steps(self, batches: Sequence[tuple[np.ndarray, np.ndarray]]) -> list[np.ndarray]:
        """See `Distorted`."""
        return [self._step(*batch) for batch in batches]


class DistortedOnGpu:
    """See `Distorted`: by the GPU, those of many steps at once; the host draws how.

    Two threads draw: more would wait for Python's lock.
    """

    together = True
    ahead = MOST_TOGETHER
    workers: int | None = 2

    def __init__(
        self, step: StepInParts, order: Order, x: NDArray[np.float32], y: NDArray[np.uint8]
    ) -> None:
        trainer = step.trainer
        self._step, self._order, self._x, self._y = step, order, x, y
        self._place = place_of(trainer.device, trainer.threads)
        self._there = self._place.changed(x, Change())  # as they are

    def read(self, number: int) -> tuple[Batch, Change]:
        """See `Distorted`."""
        batch = self._order(number)
        return batch, DISTORTION.draw(len(batch.samples), batch.random)

    def steps(self, batches: Sequence[tuple[Batch, Change]]) -> list[np.ndarray]:
        """See `Distorted`."""
        found: list[np.ndarray] = []
        for _, group in groupby(batches, lambda batch: len(batch[0].samples)):
            found += self._of_one_size(list(group))
        return found

    def _of_one_size(self, batches: list[tuple[Batch, Change]]) -> list[np.ndarray]:
        changes = [change for _, change in batches]
        samples = np.stack([batch.samples for batch, _ in batches])

        def hold() -> Any:
            every = samples.ravel()
            shown = self._place.changed(self._there, joined(changes), every)
            return self._step.trainer.hold(shown, self._y[every])

        def alone(i: int) -> np.ndarray:
            return self._step(changes[i](self._x[samples[i]]), self._y[samples[i]])

        return self._step.several(hold, np.arange(samples.size).reshape(samples.shape), alone)
