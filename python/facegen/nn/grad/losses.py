"""What is minimised: the mean over a batch's images of one of these losses, or of a sum of some."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar


def _check(name: str, value: float) -> None:
    if not 0 <= value < math.inf:  # NaN is neither
        raise ValueError(f"{name} of a loss must be finite, and 0 or more, not {value!r}")


@dataclass(frozen=True)
class Loss:
    """Of each image, the mean over its pixels (and channels). Plain data, as a layer is.

    Attributes
    ----------
    weight
        Factor of the loss, where it is one of several.
    """

    kind: ClassVar[str]
    # What a target is: "numbers", one a number of the prediction; "shares", the same, 0 or more;
    # "labels", a class a pixel; or "none".
    target: ClassVar[str] = "numbers"
    group: ClassVar[int] = 1  # images that one loss is of, one after another in the batch

    weight: float = field(default=1.0, kw_only=True)

    def __post_init__(self) -> None:
        _check("weight", self.weight)


@dataclass(frozen=True)
class CrossEntropy(Loss):
    """``-log softmax(prediction)[label]`` of each pixel.

    Labels are integers, one a pixel, 0 to channels - 1, or negative for pixels that do not count:
    the loss is then the mean over those of the batch that do. A Softmax that ends the graph is left
    out: the loss takes what it reads.
    """

    kind = "cross_entropy"
    target = "labels"


@dataclass(frozen=True)
class SoftCrossEntropy(Loss):
    """``-sum target * log softmax(prediction)`` over the channels of each pixel.

    Targets are 0 or more and need not add up to 1: a weight of the class or pixel may be multiplied
    in. A Softmax that ends the graph is left out.
    """

    kind = "soft_cross_entropy"
    target = "shares"


@dataclass(frozen=True)
class BinaryCrossEntropy(Loss):
    """``log(1 + exp(p)) - target * p``: cross-entropy of a sigmoid; predictions p are before it.

    Targets are from 0 to 1. A Sigmoid that ends the graph is left out.
    """

    kind = "binary_cross_entropy"


@dataclass(frozen=True)
class L1(Loss):
    """``|prediction - target|``."""

    kind = "l1"


@dataclass(frozen=True)
class L2(Loss):
    """``(prediction - target)^2``."""

    kind = "l2"


@dataclass(frozen=True)
class Given(Loss):
    """The target is the gradient in the prediction of a loss that is computed elsewhere.

    A vector-Jacobian product. Unlike the others it is a sum, over pixels and images:
    ``sum prediction * target``; an image's loss is its part of that, times the number of images.
    """

    kind = "given"


@dataclass(frozen=True)
class RelativisticPairs(Loss):
    """Which of two images is the real one (Jolicoeur-Martineau 2019).

    The score s of an image is the mean of its prediction. A batch is pairs of images, (real,
    generated) one after the other, and a pair's loss ``softplus(s_generated - s_real)``.

    Attributes
    ----------
    penalty
        Where it is more than 0, images come in fours: real, generated, and both again, moved a
        little. ``penalty * ((s_real - s_real_moved)^2 + (s_generated - s_generated_moved)^2)`` is
        added: R1 and R2 by differences, which keeps the score's slope small where the images are.
        Moved along the slope by a length d, it is the squared slope times d^2; by noise of a
        variance v (Lin et al. 2025) times v, on average, and more where the score is no plane.
    generator
        The other side's loss, ``softplus(s_real - s_generated)``, of which real images get no
        gradient.
    """

    kind = "relativistic_pairs"
    target = "none"

    penalty: float = 0.0
    generator: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        _check("penalty", self.penalty)
        if self.generator and self.penalty:
            raise ValueError("the generator's side of RelativisticPairs has no penalty")

    @property
    def group(self) -> int:  # type: ignore[override]
        return 4 if self.penalty else 2


LOSSES: dict[str, Loss] = {
    loss.kind: loss
    for loss in (
        CrossEntropy(),
        SoftCrossEntropy(),
        BinaryCrossEntropy(),
        L1(),
        L2(),
        Given(),
        RelativisticPairs(),
    )
}
# A loss, or its kind; or by the graph's outputs.
Losses = Loss | str | Mapping[str, Loss | str]


def find_loss(loss: Loss | str) -> Loss:
    """A loss by itself or by its kind; ValueError for another."""
    if isinstance(loss, Loss):
        return loss
    if not isinstance(loss, str) or loss not in LOSSES:
        raise ValueError(f"unknown loss {loss!r}; expected one of: {', '.join(LOSSES)}")
    return LOSSES[loss]
