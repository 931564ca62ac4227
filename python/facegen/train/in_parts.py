"""Steps that fit the memory there is: a batch that does not is computed in parts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from facegen.train.exchange import Exchange
from facegen.train.held import Held
from facegen.train.trainer import Trainer

Result = TypeVar("Result")


class StepInParts:
    """A trainer's step that is done in parts from the first time on that memory runs out.

    On the CPU the bits are those of whole batches; on GPUs see `Trainer.step`. MemoryError where
    the smallest part is too large.

    Parameters
    ----------
    tell
        Called with a line about it.
    exchange
        Of asynchronous training: a worker's step finds gradients for rank 0.
    """

    def __init__(
        self,
        trainer: Trainer,
        tell: Callable[[str], None] = lambda line: None,
        exchange: Exchange | None = None,
    ) -> None:
        self.trainer, self.parts, self._tell = trainer, 1, tell
        self._step = trainer.step if exchange is None else exchange.find

    def __call__(self, x: Any, y: Any = None) -> np.ndarray:
        """As `Trainer.step`."""
        return self._in_parts(x, lambda parts: self._step(x, y, parts=parts))

    def begin(self, x: Any, y: Any = None) -> None:
        """As `Trainer.step` without `wait`."""
        self._in_parts(x, lambda parts: self.trainer.step(x, y, parts=parts, wait=False))

    def _in_parts(self, x: Any, step: Callable[[int], Result]) -> Result:
        """What a step gives in as many parts as memory takes."""
        parts = self.parts
        while True:
            try:
                return step(parts if parts == 1 else min(parts, self._most(x)[1]))
            except MemoryError:
                images, most = self._most(x)
                if self.parts >= most:
                    raise
                self.parts = parts = 2 * self.parts
                self._tell(f"memory is short: batches of {images:,} in {self.parts} parts")

    def _most(self, x: Any) -> tuple[int, int]:
        """Images of a batch, and the most parts of it."""
        images = self.trainer.images_of(x)
        return images, self.trainer.most_parts(images)

    def several(
        self, hold: Callable[[], Held], rows: NDArray[np.int64], alone: Callable[[int], np.ndarray]
    ) -> list[np.ndarray]:
        """The losses of many steps: one call of `Trainer.run`, to the bits of single ones.

        Parameters
        ----------
        hold
            Gives the data set.
        rows
            Of it, (steps, size).
        alone
            What a step gives, by its number, where memory is short for both.

        Raises
        ------
        MemoryError
            Of several ranks, the others of which may have had it.
        """
        try:
            parts = min(self.parts, self.trainer.most_parts(rows.shape[1]))
            return list(self.trainer.run(hold(), rows, parts))
        except MemoryError:  # before any step: both ask for all that they take
            if self.trainer.ranks is not None:
                raise
        return [alone(i) for i in range(len(rows))]
