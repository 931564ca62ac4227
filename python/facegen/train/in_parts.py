"""Steps that fit the memory there is: a batch that does not is computed in parts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Any

import numpy as np

from facegen.train.exchange import Exchange
from facegen.train.pieces import Pieces
from facegen.train.trainer import Trainer


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
        images = self.trainer.images_of(x)
        most = self.trainer.most_parts(images)
        while True:
            try:
                return self._step(x, y, parts=min(self.parts, most))
            except MemoryError:
                if self.parts >= most:
                    raise
                self.parts *= 2
                self._tell(f"memory is short: batches of {images:,} in {self.parts} parts")

    def several(self, batches: Sequence[tuple[np.ndarray, np.ndarray]]) -> list[np.ndarray]:
        """The losses of each of some batches (x, y) that follow one another.

        Those of one size are one call of `Trainer.run`, to the bits of single steps.
        """
        found: list[np.ndarray] = []
        for size, group in groupby(batches, lambda batch: len(batch[0])):
            some = list(group)
            if any(not isinstance(y, np.ndarray) or len(y) != size for _, y in some):
                found += [self(*batch) for batch in some]  # which says what does not fit
                continue
            x, y = (Pieces(arrays) for arrays in zip(*some, strict=True))
            rows = np.arange(len(x)).reshape(len(some), size)
            try:
                parts = min(self.parts, self.trainer.most_parts(size))
                found += list(self.trainer.run(self.trainer.hold(x, y), rows, parts))
            except MemoryError:  # before any step: both ask for all that they take
                if self.trainer.ranks is not None:
                    raise  # which others may have done
                found += [self(*batch) for batch in some]
        return found
