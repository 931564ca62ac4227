"""Training the digit classifier: on nine of every ten images, measured on the others.

Images are shifted, turned, sheared and scaled a little in every epoch, so that no two epochs show
the same; the result is a moving average of the weights (Polyak & Juditsky 1992). The images held
out are used once, at the end: nothing is chosen by them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from facegen.errors import FormatError
from facegen.networks import binary_lenet, lenet
from facegen.train import (
    SILENT,
    Adam,
    Loop,
    Order,
    Reports,
    StepInParts,
    Trainer,
    one_cycle,
)
from facegen.train.digits.distorted import distorted
from facegen.train.exchange import Exchange
from facegen.train.ranks import Ranks
from facegen.train.split import split

_BINARY_FACTOR = 10  # of a binary network's learning rate


@dataclass(frozen=True)
class DigitSettings:
    """All that decides what comes out, given the images.

    Attributes
    ----------
    epochs, batch
        Passes over the training images; images a step.
    seed
        Of the first weights and of every random choice, but not of the split.
    held_out
        Images that are not trained on, see `split.split`.
    learning_rate
        Of Adam at its highest, after a twentieth of the steps; see `schedules.one_cycle`.
    dropout
        Share of the hidden values left out.
    average
        Half life of the moving average of the weights, in epochs.
    shares
        As for `facegen.train.Trainer`.
    binary
        Train `networks.binary_lenet`, without dropout and average: on the CPU, by one rank. Its
        learning rate is ten times as high: a weight counts only when it changes its sign.
    """

    epochs: int = 40
    batch: int = 64
    seed: int = 0
    held_out: int = 1000
    learning_rate: float = 1e-3
    dropout: float = 0.4
    average: float = 1.0
    shares: int = 1
    binary: bool = False

    @property
    def highest_rate(self) -> float:
        return self.learning_rate * (_BINARY_FACTOR if self.binary else 1)


@dataclass(frozen=True)
class Trained:
    """The result, and how good it is on what it never saw."""

    weights: dict[str, np.ndarray]
    held_out: NDArray[np.int64]  # numbers of the images held out
    guesses: NDArray[np.int64]  # of those images

    def correct(self, labels: NDArray[np.uint8]) -> int:
        """How many guesses are right; `labels` are those of all images."""
        return int((self.guesses == labels[self.held_out]).sum())


def check(images: NDArray[np.uint8], labels: NDArray[np.uint8]) -> None:
    """Raise FormatError unless these are images (n, 28, 28) and labels (n,), 0 to 9."""
    if images.shape[1:] != lenet.IMAGE[:2]:
        height, width = images.shape[1:]
        raise FormatError(f"images: expected 28x28 pixels, found {height}x{width}")
    if len(images) != len(labels):
        raise FormatError(f"found {len(images):,} images and {len(labels):,} labels")
    if len(labels) and labels.max() >= lenet.DIGITS:
        place = int(labels.argmax())
        raise FormatError(f"labels: expected 0 to 9, found {labels[place]} at {place}")


def train(
    images: NDArray[np.uint8],
    labels: NDArray[np.uint8],
    settings: DigitSettings,
    threads: int | None = None,
    reports: Reports = SILENT,
    resume: bool = False,
    overwrite: bool = False,
    ranks: Ranks | None = None,
    device: str = "cpu",
) -> Trained:
    """Train from random weights.

    Parameters
    ----------
    images, labels
        (n, 28, 28), light on black, and (n,).
    threads
        As for `facegen.train.Trainer`; the result does not depend on it.
    reports, resume, overwrite
        As for `facegen.train.Loop`; the checkpoint of a run that has ended stays.
    ranks
        That share every batch, which changes no bit of the result, or are asynchronous; all get it.
    device
        As for `facegen.train.Trainer`; the images held out are read there too.

    Raises
    ------
    FacegenError
        Training diverged; or the images or the settings are not what they should be.
    """
    check(images, labels)
    chosen, held_out = split(len(images), settings.held_out)
    x, y = lenet.check_images(images[chosen]), labels[chosen]
    order = Order(len(x), settings.batch, settings.seed)
    steps = settings.epochs * order.steps_per_epoch
    half_life = settings.average * order.steps_per_epoch
    trainer = Trainer(
        binary_lenet.graph() if settings.binary else lenet.graph(),
        "cross_entropy",
        Adam(
            rate=one_cycle(settings.highest_rate, steps, rise=0.05),
            average=None if settings.binary else 0.5 ** (1 / half_life),
        ),
        dropout={} if settings.binary else {"relu3": settings.dropout},
        threads=threads,
        seed=settings.seed,
        ranks=ranks,
        shares=settings.shares,
        device=device,
    )
    exchange = Exchange.of(ranks, trainer)
    step = StepInParts(trainer, reports.note, exchange)

    shown = distorted(step, order, x, y)

    def learn(batches: Sequence[Any]) -> list[dict[str, np.ndarray]]:
        return [{"loss": losses} for losses in shown.steps(batches)]

    loop = Loop(
        shown.read,
        None if shown.together else lambda batch: learn([batch])[0],
        {"network": trainer},
        steps,
        settings.batch,
        several=learn if shown.together else None,
        ahead=shown.ahead,
        workers=shown.workers,
        settings={**asdict(settings), "data": crc32(images.tobytes() + labels.tobytes())},
        reports=reports,
        epoch=order.steps_per_epoch,
        ranks=ranks,
        exchange=exchange,
    )
    loop.run(resume, overwrite)
    weights = binary_lenet.stored(trainer.weights) if settings.binary else trainer.averages
    engine = lenet.DigitClassifier(weights, device=trainer.device)
    return Trained(weights, held_out, engine(images[held_out]).digits)
