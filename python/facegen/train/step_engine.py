"""What runs a trainer's steps: the CPU's engine, or a GPU's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol

import numpy as np

from facegen.nn.grad import TrainingProgram
from facegen.train.batch import Arrays, Values

_FLOAT_BYTES = 4


@dataclass(frozen=True)
class Steps:
    """Steps that follow one another.

    Attributes
    ----------
    data
        The batch of one step; or, with `rows`, what `StepEngine.hold` gave.
    rows
        (steps, images) int32, of the data set. None: the whole batch.
    losses
        (steps, losses, images) float64, which the steps fill.
    rates
        (steps, groups of parameters) float64.
    seed, number
        Of dropout; the number is that of the first step, from 0.
    update
        Or leave everything but the gradients as it is.
    part_images
        Are computed at once.
    predicted
        The forward pass has been done, by `predict`.
    """

    data: Any
    rows: np.ndarray | None
    losses: np.ndarray
    rates: np.ndarray
    seed: int
    number: int
    update: bool
    part_images: int
    predicted: bool

    def __len__(self) -> int:
        return len(self.losses)

    @property
    def images(self) -> int:
        """Of each step."""
        return self.losses.shape[2]

    def after(self, done: int) -> Steps:
        """Those that are left after so many."""
        return replace(
            self,
            rows=None if self.rows is None else self.rows[done:],
            losses=self.losses[done:],
            rates=self.rates[done:],
            number=self.number + done,
        )


class Outcome(NamedTuple):
    """Of steps.

    Attributes
    ----------
    lengths
        Of the gradients, by the steps that are done; the weights are as these have left them.
    not_finite
        Where a number of the next one was not finite; None: there was none.
    """

    lengths: Sequence[float]
    not_finite: str | None = None


class StepEngine(Protocol):
    """A program and the arrays that its steps change, made ready on a device."""

    @property
    def device(self) -> str:
        """As "cpu" or "cuda:0"."""

    def hold(self, data: Arrays) -> Any:
        """A data set where the steps run; MemoryError where there is too little."""

    def run(self, steps: Steps) -> Outcome:
        """Do the steps, or the first of them: at least one, unless its numbers are not finite.

        MemoryError where there is too little.
        """

    @property
    def most_begun(self) -> int:
        """How many steps may be under way; 0 where `begin` would do them."""

    @property
    def begun(self) -> int:
        """How many steps are under way: right, too, where a call was interrupted."""

    def begin(self, steps: Steps) -> bool | None:
        """Enqueue one step on a batch, which is read where it is: others own it until `finish`.

        False where steps that were begun have to be finished first. Until all are, the only other
        calls are those with `on_device`, `download` and `upload`. None where none is under way, and
        there is too little memory for what `run` does without; nothing of `predict` is left then.
        """

    def finish(self, losses: np.ndarray) -> Outcome:
        """Wait for the oldest step that was begun, and fill its losses, (1, losses, images).

        Where a number is not finite, those behind it have changed nothing, and are over; one of the
        losses is not finite then.
        """

    def predict(
        self, inputs: Sequence[Values], seed: int, number: int, on_device: bool = False
    ) -> Sequence[Any] | None:
        """What each loss is of; MemoryError for too little.

        With `on_device` where it is, and not waited for; None where steps that were begun have to
        be finished first.
        """

    def gradient(self, parameter: str, on_device: bool = False) -> Any:
        """A copy of the last step's; with `on_device` where it is."""

    def kept(self, number: int, on_device: bool = False) -> Any:
        """A copy of a value that the program keeps, of the last step."""

    def found(self) -> np.ndarray:
        """A copy of what the last step found, as `apply` takes it."""

    @property
    def found_floats(self) -> int:
        """How many numbers that are."""

    def apply(
        self, found: np.ndarray, images: int, rates: Sequence[float], seed: int, number: int
    ) -> float:
        """The update by what was found in a batch of so many images; the gradient's length.

        FloatingPointError where a number is not finite.
        """

    def download(self) -> None:
        """Make the caller's arrays what the steps have made of them."""

    def upload(self) -> None:
        """Make what the steps change what the caller's arrays are."""

    @property
    def kernels(self) -> list[str]:
        """What computes each product, step by step; empty for other steps."""

    @property
    def step_seconds(self) -> list[float]:
        """What each step of the program took in the last batch."""

    @property
    def memory_bytes(self) -> int:
        """Of values for the largest batch so far, and of gradients."""


def arena_bytes(program: TrainingProgram, images: int) -> int:
    """Of the values of so many images."""
    return _FLOAT_BYTES * images * program.arena_floats


def batch_of(program: TrainingProgram, images: int) -> str:
    """In words, for errors."""
    return f"a batch of {images:,} images of {program.name} in training"
