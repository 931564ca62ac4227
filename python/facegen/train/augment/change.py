"""What becomes of a batch of pictures once the amounts are drawn; of gradients, the way back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from facegen.train.augment.arrays import check_pictures
from facegen.train.augment.colour import recolour, recolour_adjoint
from facegen.train.augment.cutout import cutout
from facegen.train.augment.geometry import horizontal_flip, warp, warp_adjoint


@dataclass(frozen=True)
class Change:
    """One change a picture, in this order; None leaves a part out.

    Attributes
    ----------
    mirrored
        (n,) bool: mirror images, to the bit.
    matrix, lens
        (n, 3, 3) and (n,) of `warp`.
    colour
        (n, 7, 7), see colour.py.
    hidden, hidden_share
        (2, n): x and y of `cutout`, and the share of the side.
    """

    mirrored: np.ndarray | None = None
    matrix: np.ndarray | None = None
    lens: np.ndarray | None = None
    colour: np.ndarray | None = None
    hidden: np.ndarray | None = None
    hidden_share: float = 0.0
    interpolation: str = "bilinear"
    border: str = "mirror"

    def __call__(self, pictures: Any, threads: int | None = None) -> np.ndarray:
        """(n, h, w, 3) float32 -> the same shape."""
        pictures = check_pictures(pictures)
        if self.mirrored is not None:
            pictures = horizontal_flip(pictures, self.mirrored)
        if self.matrix is not None:
            pictures = warp(
                pictures, self.matrix, self.lens, threads=threads,
                interpolation=self.interpolation, border=self.border,
            )
        if self.colour is not None:
            pictures = recolour(pictures, self.colour, threads)
        if self.hidden is not None:
            pictures = cutout(pictures, self.hidden[0], self.hidden[1], self.hidden_share)
        return pictures

    def adjoint(self, gradient: Any, threads: int | None = None) -> np.ndarray:
        """The gradient in the pictures of one in what they become, of the same shape.

        It does not depend on the pictures: all kinds are affine in them.
        """
        gradient = check_pictures(gradient)
        if self.hidden is not None:
            gradient = cutout(gradient, self.hidden[0], self.hidden[1], self.hidden_share)
        if self.colour is not None:
            gradient = recolour_adjoint(gradient, self.colour, threads)
        if self.matrix is not None:
            gradient = warp_adjoint(
                gradient, self.matrix, self.lens, threads=threads,
                interpolation=self.interpolation, border=self.border,
            )
        if self.mirrored is not None:
            gradient = horizontal_flip(gradient, self.mirrored)
        return gradient


# Of the arrays of a change, the axis of pictures.
_AXES = {"mirrored": 0, "matrix": 0, "lens": 0, "colour": 0, "hidden": 1}


def joined(changes: Sequence[Change]) -> Change:
    """One change of the pictures of several batches, one batch behind the other.

    All of them were drawn by one `Augmentation`.
    """
    parts: dict[str, Any] = {
        name: np.concatenate([getattr(change, name) for change in changes], axis=axis)
        for name, axis in _AXES.items()
        if getattr(changes[0], name) is not None
    }
    return replace(changes[0], **parts)
