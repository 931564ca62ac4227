"""How strongly each kind of augmentation may change pictures, and the amounts that are drawn."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from functools import reduce
from typing import Any

import numpy as np

from facegen.train.augment import colour, geometry
from facegen.train.augment.arrays import check_pictures
from facegen.train.augment.change import Change
from facegen.train.augment.draws import Random, uniforms


@dataclass(frozen=True)
class Augmentation:
    """How strongly each kind may change a picture; a strength of 0 leaves the kind out.

    Called as ``augmentation(pictures, random)``: amounts are drawn for every picture, and the same
    random state gives the same pictures. `draw` gives the amounts alone, for gradients to go back
    by. A kind's amounts do not depend on which other kinds there are.

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
    interpolation, border
        See `warp`.
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
    axes: np.ndarray | None = None
    interpolation: str = "bilinear"
    border: str = "mirror"

    def __post_init__(self) -> None:
        for field in fields(self):
            strength = getattr(self, field.name)
            if field.type == "float" and not (math.isfinite(strength) and strength >= 0):
                raise ValueError(f"{field.name}: expected 0 or more, found {strength}")

    def __call__(self, pictures: Any, random: Random, threads: int | None = None) -> np.ndarray:
        """(n, h, w, 3) float32 -> the same shape; not clamped: colours may leave -1 to 1.

        `random` is a generator, or one for each picture (see `generators`). With all strengths 0
        the pictures come back as they are. Pictures of one channel, (n, h, w, 1), have no kinds of
        colour.
        """
        pictures = check_pictures(pictures)
        axes = colour.colour_axes(pictures) if self.pca and self.axes is None else None
        return self.draw(len(pictures), random, axes)(pictures, threads)

    def draw(self, n: int, random: Random, axes: np.ndarray | None = None) -> Change:
        """The amounts for n pictures; `axes` as the attribute, where `pca` has none."""
        draws = uniforms(n, _DRAWS, random).T
        mirrored = draws[0] < self.flip if self.flip else None
        matrix, lens = self._geometry(draws[1:8])
        if matrix is not None and mirrored is not None:
            matrix, mirrored = geometry.mirror(mirrored) @ matrix, None
        return Change(
            mirrored=mirrored,
            matrix=matrix,
            lens=lens,
            colour=self._colour(draws[8:16], axes if self.axes is None else self.axes),
            hidden=draws[16:18] if self.cutout else None,
            hidden_share=self.cutout,
            interpolation=self.interpolation,
            border=self.border,
        )

    def _geometry(self, draws: np.ndarray) -> tuple[np.ndarray | None, np.ndarray | None]:
        ways = 2 * draws - 1
        lens = self.lens * ways[6] if self.lens else None
        strengths = (self.translate, self.rotate, self.shear, self.scale, self.stretch, self.lens)
        if not any(strengths):
            return None, None
        zoom, ratio = _factor(self.scale, ways[4]), np.sqrt(_factor(self.stretch, ways[5]))
        right, down = self.translate * ways[:2]
        turn, lean = self.rotate * ways[2], self.shear * ways[3]
        matrix = geometry.affine(right, down, turn, lean, zoom * ratio, zoom / ratio)
        return matrix, lens

    def _colour(self, draws: np.ndarray, axes: np.ndarray | None) -> np.ndarray | None:
        ways = 2 * draws - 1
        matrices = []
        if self.brightness:
            matrices.append(colour.brightness_matrix(self.brightness * ways[0]))
        if self.contrast:
            matrices.append(colour.contrast_matrix(_factor(self.contrast, ways[1])))
        if self.saturation:
            matrices.append(colour.saturation_matrix(1 + self.saturation * ways[2]))
        if self.hue:
            matrices.append(colour.hue_matrix(self.hue * ways[3]))
        if self.pca:
            if axes is None:
                raise ValueError("pca takes the axes of colour_axes, found None")
            matrices.append(colour.pca_matrix(self.pca * _normals(draws[4:8]), axes))
        # The first kind is the first to change a pixel: its matrix is the last factor.
        return reduce(np.matmul, reversed(matrices)) if matrices else None


_DRAWS = 18  # numbers of a picture


def _factor(strength: float, way: np.ndarray) -> np.ndarray:
    """From 1 / (1 + strength) at -1 to 1 + strength at 1."""
    return np.exp(math.log1p(strength) * way)


def _normals(draws: np.ndarray) -> np.ndarray:
    """(n, 3) of a normal distribution from (4, n) of a uniform one (Box and Muller 1958)."""
    radius = np.sqrt(-2 * np.log1p(-draws[:2]))
    angle = 2 * np.pi * draws[2:]
    return np.stack([radius[0] * np.cos(angle[0]), radius[0] * np.sin(angle[0]),
                     radius[1] * np.cos(angle[1])], axis=1)


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
