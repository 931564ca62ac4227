"""How strongly each kind of augmentation may change pictures, and the amounts that are drawn."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from facegen.train.augment.colour import (
    brightness,
    colour_axes,
    contrast,
    hue,
    pca_jitter,
    saturation,
)
from facegen.train.augment.cutout import cutout
from facegen.train.augment.draws import uniform
from facegen.train.augment.geometry import (
    horizontal_flip,
    rotation,
    scaling,
    shear,
    stretch,
    translation,
    warp,
)


@dataclass(frozen=True)
class Augmentation:
    """How strongly each kind may change a picture; a strength of 0 leaves the kind out.

    Called as ``augmentation(pictures, generator)``: amounts are drawn for every picture, and the
    same generator state gives the same pictures. With all strengths 0 they come back as they are.

    Attributes
    ----------
    flip
        Probability of a mirror image.
    translate
        Largest shift each way, as a share of the side.
    rotate, shear
        Largest angle either way, in degrees.
    scale, stretch
        Largest enlargement or reduction less 1, of both sides alike or of one against the other.
    lens
        Largest radial distortion either way, see `warp`.
    brightness, pca
        Largest shift of values (-1 to 1); standard deviations along the colour axes.
    contrast, saturation
        Largest factor less 1.
    hue
        Largest angle either way, in degrees.
    cutout
        Side of a grey square somewhere, as a share of the side.
    axes
        (3, 3) of `colour_axes`, for `pca`; taken from the pictures at hand if None.
    """

    flip: float = 0.0
    translate: float = 0.0
    rotate: float = 0.0
    shear: float = 0.0
    scale: float = 0.0
    stretch: float = 0.0
    lens: float = 0.0
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0
    pca: float = 0.0
    cutout: float = 0.0
    axes: Tensor | None = None

    def __post_init__(self) -> None:
        for field in fields(self):
            strength = getattr(self, field.name)
            if field.name != "axes" and not (math.isfinite(strength) and strength >= 0):
                raise ValueError(f"{field.name}: expected 0 or more, found {strength}")

    def __call__(self, pictures: Tensor, generator: torch.Generator) -> Tensor:
        """(n, c, h, w) -> the same shape; not clamped: colours may leave -1 to 1."""
        pictures = self._geometry(pictures, generator)
        return self._colour(pictures, generator)

    def _geometry(self, pictures: Tensor, generator: torch.Generator) -> Tensor:
        n, device = len(pictures), pictures.device

        def around_zero(strength: float) -> Tensor:
            return uniform(n, -strength, strength, device, generator)

        def around_one(strength: float) -> Tensor:
            return torch.exp(around_zero(math.log1p(strength)))

        if self.flip:
            chance = uniform(n, 0.0, 1.0, device, generator)
            pictures = horizontal_flip(pictures, chance < self.flip)
        matrices = []
        if self.translate:
            matrices.append(translation(around_zero(self.translate), around_zero(self.translate)))
        if self.rotate:
            matrices.append(rotation(around_zero(self.rotate)))
        if self.shear:
            matrices.append(shear(around_zero(self.shear)))
        if self.scale:
            matrices.append(scaling(around_one(self.scale)))
        if self.stretch:
            ratio = around_one(self.stretch).sqrt()
            matrices.append(stretch(ratio, 1 / ratio))
        lens = around_zero(self.lens) if self.lens else None
        if matrices or lens is not None:
            chain = torch.eye(3, device=device).expand(n, 3, 3)
            for matrix in matrices:
                chain = chain @ matrix
            pictures = warp(pictures, chain, lens)
        return pictures

    def _colour(self, pictures: Tensor, generator: torch.Generator) -> Tensor:
        n, device = len(pictures), pictures.device

        def amounts(low: float, high: float) -> Tensor:
            return uniform(n, low, high, device, generator).to(pictures.dtype)

        if self.brightness:
            pictures = brightness(pictures, amounts(-self.brightness, self.brightness))
        if self.contrast:
            factor = torch.exp(amounts(-1, 1) * math.log1p(self.contrast))
            pictures = contrast(pictures, factor)
        if self.saturation:
            pictures = saturation(pictures, amounts(1 - self.saturation, 1 + self.saturation))
        if self.hue:
            pictures = hue(pictures, amounts(-self.hue, self.hue))
        if self.pca:
            axes = colour_axes(pictures.detach()) if self.axes is None else self.axes
            draws = torch.randn(n, 3, device=device, generator=generator).to(pictures.dtype)
            pictures = pca_jitter(pictures, self.pca * draws, axes.to(pictures))
        if self.cutout:
            pictures = cutout(pictures, amounts(0.0, 1.0), amounts(0.0, 1.0), self.cutout)
        return pictures


NONE = Augmentation()
# For small sets, before the discriminator: the policy of Zhao et al. 2020 in milder steps, and a
# little of each geometric kind; flips are the data loader's.
SMALL_SET = Augmentation(
    translate=0.1,
    rotate=5.0,
    scale=0.1,
    stretch=0.05,
    brightness=0.3,
    contrast=0.3,
    saturation=0.6,
    cutout=0.35,
)
