"""Asynchronous training: rank 0 has the weights, the others send it what they find in batches.

| rank 0, of weights and moments | each other rank, a worker |
|---|---|
| hands out a batch's number and the weights | reads that batch, finds losses and gradients |
| applies what comes, in the order in which it comes | sends them, with batch norms' statistics |

So nobody waits for the slowest, and what a batch changes was found with weights that are some steps
old (Dean et al. 2012): with n workers n - 1 of them in the mean. Every batch is the one that a run
of one process has, a function of the seed and its number; which weights it meets depends on time,
so two runs differ.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from facegen.train.log import Losses
from facegen.train.ranks import Ranks
from facegen.train.trainer import Trainer


class Exchange:
    """A rank's side of it.

    Parameters
    ----------
    ranks
        That are `asynchronous`.
    trainer
        Of the same network on all ranks. On rank 0 its weights are the run's; a worker's are
        overwritten.
    """

    def __init__(self, ranks: Ranks, trainer: Trainer) -> None:
        self.ranks, self._trainer = ranks, trainer
        names = sorted(trainer.program.trained)  # all that changes and that gradients depend on
        self._weights = [trainer.weights[name] for name in names]
        self._message = np.empty(sum(array.size for array in self._weights), np.float32)
        self._received = np.empty(trainer.found_floats, np.float32)
        self._found: np.ndarray | None = None  # a worker's, of its last batch
        self._images = 0
        self._numbers = iter(range(0))  # rank 0's, of batches that nobody has yet
        self._since: dict[int, int] = {}  # by worker, the steps before the weights that it has
        self._workers = ranks.size - 1

    @classmethod
    def of(cls, ranks: Ranks | None, trainer: Trainer) -> Exchange | None:
        """None where ranks share every batch, and where there is one process."""
        return cls(ranks, trainer) if ranks is not None and ranks.asynchronous else None

    def find(self, x: Any, y: Any = None, parts: int = 1) -> np.ndarray:
        """A worker's step, as `Trainer.step`: the weights change when the next batch comes."""
        losses, self._found = self._trainer.find(x, y, parts)
        self._images = len(losses)
        return losses

    def batches(self, step: Callable[[int], tuple[Losses, bool]]) -> None:
        """A worker's run: `step` does a batch, of a number, until rank 0 has no more.

        It returns losses by name, and whether this process was told to stop.
        """
        self.ranks.send(0, None)
        while (number := self.ranks.receive(0)[1]) is not None:
            self.ranks.receive_array(0, self._message)
            at = 0
            for array in self._weights:
                array[...] = self._message[at : at + array.size].reshape(array.shape)
                at += array.size
            self._trainer.steps = number  # of which dropout is a function
            losses, stopping = step(number)
            assert self._found is not None
            self.ranks.send(0, (losses, self._images, stopping), self._found)

    def begin(self, numbers: range) -> None:
        """Rank 0 hands out batches of these numbers from now on."""
        self._numbers = iter(numbers)

    def serve(self) -> tuple[Losses, bool]:
        """Rank 0's step: apply what the next worker sends.

        Returns its losses by name, with "staleness", how many steps there were since the weights
        that it had; and whether it was told to stop.
        """
        while True:
            worker, result = self.ranks.receive()
            if result is not None:
                break
            self._hand_out(worker)  # its first
        losses, images, stopping = result
        self.ranks.receive_array(worker, self._received)
        staleness = self._trainer.steps - self._since[worker]
        self._trainer.apply(self._received, images)
        self._hand_out(worker)
        return {**losses, "staleness": staleness}, stopping

    def end(self) -> None:
        """Rank 0 lets the workers go; what they still find is dropped."""
        self._numbers = iter(range(0))
        while self._workers:
            worker, result = self.ranks.receive()
            if result is not None:
                self.ranks.receive_array(worker, self._received)
            self._hand_out(worker)

    def _hand_out(self, worker: int) -> None:
        number = next(self._numbers, None)
        if number is None:
            self._workers -= 1
            self.ranks.send(worker, None)
            return
        self._since[worker] = self._trainer.steps
        self.ranks.send(worker, number, np.concatenate([a.ravel() for a in self._weights]))
