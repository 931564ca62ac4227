"""How a trainer's steps run: waited for, or enqueued and waited for later."""

from __future__ import annotations

from collections import deque
from operator import index
from typing import Any, Literal, NamedTuple

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
    found: np.ndarray
    """(images,), what `wait` gives, once it is finished."""


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
    # What is being done to the queue of steps. Where that was interrupted, as by Ctrl-C, the queue
    # may not be the engine's: see `_match`.
    _doing: Literal["begin", "finish"] | None = None
    _diverged: Diverged | None = None  # and not raised yet

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
        images = whole_number("images", images)
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
            outcome = self._run_counted(steps)
            done = len(outcome.lengths)
            self._check_finite(outcome)
            self.gradient_length = outcome.lengths[-1]
            if done == len(steps):
                break
            steps = steps.after(done)
        if count:
            self._keep_losses(losses[-1])
        return self._weighted(losses)

    def _run_counted(self, steps: Steps) -> Outcome:
        """What the engine does of these steps; they count where Ctrl-C comes as it returns, too."""
        done: int | None = None
        try:
            outcome = self._engine.run(steps)
            done = len(outcome.lengths)
            return outcome
        finally:
            if done is None:  # a step that was done has written its losses
                done = int(np.isfinite(steps.losses).all(axis=(1, 2)).sum())
            if steps.update:
                self._counter.steps += done

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
        self._match()
        if self._counter.ahead != [self]:
            self._settle()  # steps that others have begun count, too
        arrays = self._reader.arrays(x, y)
        images = len(arrays.inputs[0])
        steps = self._steps_of(arrays, None, 1, images, update, parts, predicted)
        if not self._begin(steps, arrays.owners):
            losses = self._run(arrays, None, 1, images, update=update, parts=parts)
            self._unread.append(losses[0])
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
        losses = np.full((count, len(self._outputs), images), np.nan)  # of steps not done yet
        first = self.steps
        rates = np.array([self.optimizer.rates(first + i) for i in range(count)], np.float64)
        return Steps(data, rows, losses, rates, self.seed, first, update, part, predicted)

    def _begin(self, steps: Steps, owners: list[Any]) -> bool:
        """Enqueue a step on a batch, of memory with these owners; or it has to be waited for."""
        step = Begun(steps.number, steps.losses, owners, np.empty(steps.images))
        while (begun := self._try_to_begin(step, steps)) is False:
            self._finish_oldest()
        return begun is not None

    def _try_to_begin(self, step: Begun, steps: Steps) -> bool | None:
        """What the engine says; the step is in the queue before it is in the engine's."""
        self._doing = "begin"
        try:
            if self not in self._counter.ahead:
                self._counter.ahead.append(self)
            self._begun.append(step)
            self._counter.steps = steps.number + steps.update
            begun = self._engine.begin(steps)
            if begun:
                self._doing = None
            return begun
        finally:
            self._match()

    def _settle(self) -> None:
        self._match()
        super()._settle()
        self._raise_diverged()

    def _finish_all(self) -> None:
        self._match()
        while self._begun:
            self._finish_oldest()

    def _finish_oldest(self) -> None:
        """Wait for it; Diverged where a number is not finite, and then none is begun."""
        step = self._begun[0]
        self._doing = "finish"
        try:
            outcome = self._engine.finish(step.losses)
            if outcome.not_finite is None:
                self.gradient_length = outcome.lengths[-1]
                self._take_oldest()
            else:
                self._drop_all(outcome.not_finite)
            self._doing = None
        finally:
            self._match()
        self._raise_diverged()

    def _match(self) -> None:
        """Make the queue the engine's, where it may not be; only one of both has gone on then.

        Interrupted itself, it is done again by the next call. Of a step whose end was interrupted
        nobody knows the gradient's length any more, nor where a number was not finite.
        """
        more = self._doing is not None and len(self._begun) > self._engine.begun
        if more and self._doing == "begin":
            self._counter.steps = self._begun[-1].number
            self._begun.pop()
        elif more and np.isfinite(self._begun[0].losses).all():
            self._take_oldest()
        elif more:
            self._drop_all("a number is not finite; the call that looked where was interrupted")
        self._doing = None
        if not self._begun and self in self._counter.ahead:
            self._counter.ahead.remove(self)

    def _take_oldest(self) -> None:
        """Of the queue, when it is finished: its losses, once also where this is done again."""
        step = self._begun[0]
        self._keep_losses(step.losses[0])
        step.found[...] = self._weighted(step.losses)[0]
        if not self._unread or self._unread[-1] is not step.found:
            self._unread.append(step.found)
        self._begun.popleft()

    def _drop_all(self, not_finite: str) -> None:
        """Of the queue, whose oldest step was the last."""
        number = self._begun[0].number
        self._diverged = self._not_finite(number, not_finite)
        self._counter.steps = number
        self._begun.clear()

    def _raise_diverged(self) -> None:
        diverged, self._diverged = self._diverged, None
        if diverged is not None:
            raise diverged

    def _check_finite(self, outcome: Outcome) -> None:
        if outcome.not_finite is not None:
            raise self._not_finite(self.steps, outcome.not_finite)

    def _not_finite(self, step: int, words: str) -> Diverged:
        return Diverged(f"step {step} of {self.graph.name}: {words}")

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
