"""What decides how faces are trained, on the CPU and by PyTorch alike."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from facegen.errors import FacegenError
from facegen.train import augment
from facegen.train.augment import Augmentation

WARM_UP = 0.05  # the average never reaches back further than this share of the run so far
_AUGMENTATIONS = {"none": augment.NONE, "small": augment.SMALL_SET}


@dataclass(frozen=True)
class FaceSettings:
    """All that decides what comes out, given the pictures.

    Attributes
    ----------
    steps, batch
        Steps of both networks; pictures a step over all ranks.
    seed
        Of the first weights and of every random choice.
    freeze
        The first layers of the generator that keep their weights (0 to 4).
    flip
        Show each picture or its mirror image.
    augmentation
        "none" or "small" (`augment.SMALL_SET`, for sets of a few thousand pictures and less).
    learning_rate
        Of Adam, constant for half of the steps, then falling to a tenth.
    penalty, penalty_end, penalty_every
        Weight of the gradient penalties at the start, and at the end, to which it goes along a
        cosine (None: as at the start); and how often they are computed (with as many times the
        weight).
    average
        Half life of the moving average, in pictures.
    width
        Channels of the discriminator's 32x32 maps.
    statistics
        Latents over which the batch norms of the averaged generator are measured at the end.
    precision
        As for `facegen.train.Trainer`, but for scores whose small differences tell slopes, which
        are "strict".
    shares
        As for `facegen.train.Trainer`.
    """

    steps: int = 20_000
    batch: int = 64
    seed: int = 0
    freeze: int = 0
    flip: bool = True
    augmentation: str = "none"
    learning_rate: float = 2e-4
    penalty: float = 1.0
    penalty_end: float | None = None
    penalty_every: int = 8
    average: int = 100_000
    width: int = 32
    statistics: int = 4096
    precision: str = "strict"
    shares: int = 1

    def __post_init__(self) -> None:
        if self.augmentation not in _AUGMENTATIONS:
            known = ", ".join(_AUGMENTATIONS)
            raise FacegenError(f"augmentation: expected {known}, found {self.augmentation!r}")

    @property
    def of_generated(self) -> Augmentation:
        """What generated pictures go through before the discriminator sees them."""
        return _AUGMENTATIONS[self.augmentation]

    @property
    def of_real(self) -> Augmentation:
        """The same for real ones, which are mirrored too."""
        return replace(self.of_generated, flip=0.5 if self.flip else 0.0)

    @property
    def most_penalty(self) -> float:
        """The largest weight of the penalties; 0 if there are none."""
        return max(self.penalty, self.penalty_end or 0.0)

    def penalty_at(self, step: int) -> float:
        """Their weight in a step."""
        if self.penalty_end is None:
            return self.penalty
        gone = 0.5 - 0.5 * math.cos(math.pi * step / self.steps)
        return (1.0 - gone) * self.penalty + gone * self.penalty_end

    def rate(self, step: int) -> float:
        """The learning rate: constant for half of the run, then straight down to a tenth."""
        progress = step / self.steps
        return self.learning_rate * (1 if progress < 0.5 else max(0.1, 1.9 - 1.8 * progress))

    def decay(self, step: int) -> float:
        """Of the moving average of the weights (Polyak & Juditsky 1992), in a step."""
        seen = (step + 1) * self.batch
        return 0.5 ** (self.batch / min(self.average, max(1.0, WARM_UP * seen)))
