"""What is minimised: the mean over a batch's images of one of these losses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


class Loss:
    """Of each image, the mean over its pixels (and channels). Plain data, as a layer is."""

    kind: ClassVar[str]
    labels: ClassVar[bool] = False  # targets are a class a pixel rather than a number a number


@dataclass(frozen=True)
class CrossEntropy(Loss):
    """``-log softmax(prediction)[label]`` of each pixel.

    Labels are integers, one a pixel, 0 to channels - 1, or negative for pixels that do not count:
    the loss is then the mean over those of the batch that do. A Softmax that ends the graph is left
    out: the loss takes what it reads.
    """

    kind = "cross_entropy"
    labels = True


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


LOSSES: dict[str, Loss] = {
    loss.kind: loss for loss in (CrossEntropy(), BinaryCrossEntropy(), L1(), L2())
}


def find_loss(loss: Loss | str) -> Loss:
    """A loss by itself or by its kind; ValueError for another."""
    if isinstance(loss, Loss):
        return loss
    if loss not in LOSSES:
        raise ValueError(f"unknown loss {loss!r}; expected one of: {', '.join(LOSSES)}")
    return LOSSES[loss]
