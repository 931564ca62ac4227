"""How a trainer's steps run: waited for, or enqueued and waited for later."""

from __future__ import annotations

from collections import deque
from operator import index
from typing import Any, NamedTuple

import numpy as np

from facegen._native import CHUNK_IMAGES
from facegen.engine.device import CPU
from facegen.errors import FacegenError
from facegen.train.batch import Reader
from facegen.train.ranks import Ranks
from facegen.train.step_engine import Outcome, Steps
from facegen.train.trained_arrays import TrainedArrays


class Diverged(FacegenError):
    """A number of training is not finite; says in which step, and where it began."""

    of_all_ranks = True  # each raises the same


class Begun(NamedTuple):
    """A step that was not waited for."""

    number: int
    losses: np.ndarray
    """(1, losses, images), once it is finished."""
    owners: list[Any]
    """Of what it reads."""


class Running(TrainedArrays):
    """The part of a `Trainer` that runs steps; it sets what is named here."""

    ranks: Ranks | None
    shares: int
    _reader: Reader
    _needs_whole_batch: bool
    gradient_length: float
    losses: dict[str, np.ndarray]
    _outputs: list[str]  # with losses
    _loss_weights: np.ndarray  # (losses, 1)
    _begun: deque[Begun]
    _unread: list[np.ndarray]  # losses of steps that were not waited for

    @property
    def device(self) -> str:
        """Where the steps run: "cpu" or "cuda:0"."""
        return self._engine.device

    def wait(self) -> list[np.ndarray]:
        """Wait for all steps that were not waited for.

        Returns
        -------
        [(n,) float64, ...]
            Of each in turn, since the last call, what `step` would have given. They are kept until
            then, 8 bytes an image. `losses` and `gradient_length` are those of the last one.

        Raises
        ------
        Diverged
            As `step` does; once. The next call gives the losses of the steps before.
        """
        with self._lock:
            self._settle()
            unread, self._unread = self._unread, []
            return unread

    def most_parts(self, images: int) -> int:
        """Into how many parts a batch can be cut.

        1 where a batch norm takes its statistics of the batch, and where values are kept: those
        need all images at once. Ranks share a batch instead, and of `shares` the bits are those
        of whole batches.
        """
        whole = self._needs_whole_batch or self.ranks or self.shares > 1
        return 1 if whole else -(-images // CHUNK_IMAGES)

    def _one_step(
        self, x: Any, y: Any, *, update: bool = True, parts: int = 1, predicted: bool = False
    ) -> np.ndarray:
        """A step on a batch: each image's loss."""
        arrays = self._reader.arrays(x, y)
        images = len(arrays.inputs[0])
        losses = self._run(
            arrays, None, 1, images, update=update, parts=parts, predicted=predicted
        )
        return losses[0]

    def _run(
        self,
        data: Any,
        rows: np.ndarray | None,
        count: int,
        images: int,
        *,
        update: bool = True,
        parts: int = 1,
        predicted: bool = False,
    ) -> np.ndarray:
        """So many steps on a batch, or on rows of a data set: (steps, images) of losses."""
        self._settle()
        steps = self._steps_of(data, rows, count, images, update, parts, predicted)
        losses = steps.losses
        while len(steps):
            outcome = self._engine.run(steps)
            done = len(outcome.lengths)
            if update:
                self._counter.steps += done
            self._check_finite(outcome)
            self.gradient_length = outcome.lengths[-1]
            if done == len(steps):
                break
            steps = steps.after(done)
        if count:
            self._keep_losses(losses[-1])
        return self._weighted(losses)

    def _take_step(
        self, x: Any, y: Any, wait: bool, *, update: bool = True, parts: int = 1,
        predicted: bool = False,
    ) -> np.ndarray | None:
        """A step on a batch: each image's loss, or None where it is not waited for."""
        if wait or not self._engine.most_begun:
            losses = self._one_step(x, y, update=update, parts=parts, predicted=predicted)
            if wait:
                return losses
            self._unread.append(losses)
            return None
        if self._counter.ahead != [self]:
            self._settle()  # steps that others have begun count, too
        arrays = self._reader.arrays(x, y)
        images = len(arrays.inputs[0])
        self._begin(
            self._steps_of(arrays, None, 1, images, update, parts, predicted), arrays.owners
        )
        return None

    def _steps_of(
        self,
        data: Any,
        rows: np.ndarray | None,
        count: int,
        images: int,
        update: bool,
        parts: int,
        predicted: bool,
    ) -> Steps:
        """So many that come next; ValueError where they do not fit."""
        self._reader.check_groups(images)
        if (self.ranks or self.shares > 1) and predicted:
            raise ValueError("predict is of a whole batch, and a step here of parts")
        most, parts = self.most_parts(images), whole_number("parts", parts)
        if not 1 <= parts <= most:
            raise ValueError(f"parts must be 1 to {most} for {images} images, not {parts}")
        if self.ranks is not None and self.device == CPU:
            part = self.ranks.part_images(images)
        else:
            part = _part_images(images, parts)
        losses = np.empty((count, len(self._outputs), images))
        first = self.steps
        rates = np.array([self.optimizer.rates(first + i) for i in range(count)], np.float64)
        return Steps(data, rows, losses, rates, self.seed, first, update, part, predicted)

    def _begin(self, steps: Steps, owners: list[Any]) -> None:
        """Enqueue a step on a batch, of memory with these owners."""
        while not self._engine.begin(steps):
            self._finish_oldest()
        if not self._begun:
            self._counter.ahead.append(self)
        self._begun.append(Begun(steps.number, steps.losses, owners))
        self._counter.steps += steps.update

    def _finish_all(self) -> None:
        while self._begun:
            self._finish_oldest()

    def _finish_oldest(self) -> None:
        """Wait for it; Diverged where a number is not finite, and then none is begun."""
        step = self._begun[0]
        outcome = self._engine.finish(step.losses)
        if outcome.not_finite is None:
            self._begun.popleft()
        else:
            self._begun.clear()
            self._counter.steps = step.number
        if not self._begun:
            self._counter.ahead.remove(self)
        self._check_finite(outcome)
        self.gradient_length = outcome.lengths[-1]
        self._keep_losses(step.losses[0])
        self._unread.append(self._weighted(step.losses)[0])

    def _check_finite(self, outcome: Outcome) -> None:
        if outcome.not_finite is not None:
            raise Diverged(f"step {self.steps} of {self.graph.name}: {outcome.not_finite}")

    def _keep_losses(self, losses: np.ndarray) -> None:
        """Of a step, (losses, images)."""
        self.losses = dict(zip(self._outputs, losses, strict=True))

    def _weighted(self, losses: np.ndarray) -> np.ndarray:
        """(steps, images): the sums of (steps, losses, images)."""
        sums: np.ndarray = (self._loss_weights * losses).sum(axis=1)
        return sums


def whole_number(name: str, value: Any) -> int:
    """An int, of whatever kind; ValueError for what is none, as 1.5."""
    try:
        return index(value)
    except TypeError:
        raise ValueError(f"{name} must be a whole number, not {value!r:.80}") from None


def _part_images(images: int, parts: int) -> int:
    """The smallest part, of those whose gradients are nodes of the batch's sum, that is enough."""
    size = CHUNK_IMAGES
    while -(-images // size) > parts:
        size *= 2
    return images if parts == 1 else size
