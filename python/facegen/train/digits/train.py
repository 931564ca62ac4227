"""Training the digit classifier: on nine of every ten images, measured on the others.

Images are shifted, turned, sheared and scaled a little in every epoch, so that no two epochs show
the same; the result is a moving average of the weights (Polyak & Juditsky 1992). The images held
out are used once, at the end: nothing is chosen by them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facegen.errors import FacegenError, FormatError
from facegen.networks import lenet
from facegen.train import Adam, Trainer
from facegen.train.augment import Augmentation
from facegen.train.schedule import cosine
from facegen.train.split import split

# Digits stand on black.
DISTORTION = Augmentation(
    translate=0.08, rotate=12.0, shear=8.0, scale=0.12, stretch=0.1, border="black"
)


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
        Of Adam at its highest, see `schedule.cosine`.
    dropout
        Share of the hidden values left out.
    average
        Half life of the moving average of the weights, in epochs.
    """

    epochs: int = 40
    batch: int = 64
    seed: int = 0
    held_out: int = 1000
    learning_rate: float = 1e-3
    dropout: float = 0.4
    average: float = 1.0


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
    say: Callable[[int, float], None] = lambda epoch, loss: None,
) -> Trained:
    """Train from random weights; `say` is called with every epoch's number and mean loss.

    Parameters
    ----------
    images, labels
        (n, 28, 28), light on black, and (n,).
    threads
        As for `facegen.train.Trainer`; the result does not depend on it.

    Raises
    ------
    FacegenError
        Training diverged; or the images or the settings are not what they should be.
    """
    check(images, labels)
    chosen, held_out = split(len(images), settings.held_out)
    x, y = lenet.check_images(images[chosen]), labels[chosen]
    weights = _train(x, y, settings, threads, say)
    engine = lenet.DigitClassifier(weights, device="cpu")
    return Trained(weights, held_out, engine(images[held_out]).digits)


def _train(
    x: NDArray[np.float32],
    y: NDArray[np.uint8],
    settings: DigitSettings,
    threads: int | None,
    say: Callable[[int, float], None],
) -> dict[str, np.ndarray]:
    """The moving average of the network's weights over training."""
    steps_per_epoch = math.ceil(len(x) / settings.batch)
    steps = settings.epochs * steps_per_epoch
    optimizer = Adam(
        rate=lambda step: settings.learning_rate * cosine(step / steps),
        average=0.5 ** (1 / (settings.average * steps_per_epoch)),
    )
    trainer = Trainer(
        lenet.graph(),
        "cross_entropy",
        optimizer,
        dropout={"relu3": settings.dropout},
        threads=threads,
        seed=settings.seed,
    )
    for epoch in range(settings.epochs):
        random = np.random.default_rng((settings.seed, epoch))
        total = 0.0
        order = random.permutation(len(x))
        for first in range(0, len(x), settings.batch):
            part = order[first : first + settings.batch]
            try:
                distorted = DISTORTION(x[part], random, trainer.threads)
                total += float(trainer.step(distorted, y[part]).sum())
            except FacegenError as error:
                raise FacegenError(f"training diverged in epoch {epoch + 1}: {error}") from None
        say(epoch + 1, total / len(x))
    return trainer.averages
