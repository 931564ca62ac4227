"""Faces with handles: seeds, the way from one face to another, and directions to push along.

The directions are the principal components of the generator's own pictures, taken back to latent
space: each says along which latent vector one component of the picture changes most.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from facegen.media.pictures import rgb
from facegen.networks.dcgan import Generator
from facegen.networks.paths import slerp

DIRECTIONS = 8
REACH = 6.0  # of a slider at 1, where each coordinate of a face has a standard deviation of 1
_SAMPLES = 1024
_FIRST_SAMPLE = 1 << 32  # seeds that people do not look at


@dataclass(frozen=True)
class Point:
    """A face: that of `seed`, moved by `t` (0 to 1) to that of `to`, pushed along the directions.

    `sliders` has up to `DIRECTIONS` numbers, -1 to 1.
    """

    seed: int
    to: int | None = None
    t: float = 0.0
    sliders: tuple[float, ...] = ()


class Faces:
    """A generator, and its directions."""

    def __init__(self, generator: Generator) -> None:
        self._generator = generator
        self._directions = _directions(generator)  # (DIRECTIONS, latent size), unit vectors

    def images(self, points: Sequence[Point]) -> np.ndarray:
        """(n, height, width, 3) uint8."""
        places = np.stack([self._place(p) for p in points])
        return rgb(self._generator.images(self._generator.prior.from_normal(places)))

    def seeds(self, first: int, count: int) -> np.ndarray:
        """Faces of seeds first, first + 1, ...: (count, height, width, 3) uint8."""
        return rgb(self._generator.images(seeds=range(first, first + count)))

    def ends(self, point: Point) -> np.ndarray:
        """The face with each slider at its two ends: (2 * DIRECTIONS, height, width, 3) uint8."""
        sliders = [*point.sliders, *[0.0] * (DIRECTIONS - len(point.sliders))]
        points = []
        for i in range(DIRECTIONS):
            for end in (-1.0, 1.0):
                pushed = (*sliders[:i], end, *sliders[i + 1 :])
                points.append(Point(point.seed, point.to, point.t, pushed))
        return self.images(points)

    def _place(self, point: Point) -> np.ndarray:
        """(latent size,) normal coordinates."""
        place = self._normal_of(point.seed)
        if point.to is not None:
            target = self._normal_of(point.to)
            place = slerp(place, target, point.t)
        for slider, direction in zip(point.sliders, self._directions, strict=False):
            place = place + REACH * slider * direction
        return place

    def _normal_of(self, seed: int) -> np.ndarray:
        (place,) = self._generator.prior.to_normal(self._generator.latents([seed]))
        return place


def _directions(generator: Generator) -> np.ndarray:
    """The covariance of latent coordinates with the pictures' principal components."""
    sample = generator.latents(range(_FIRST_SAMPLE, _FIRST_SAMPLE + _SAMPLES))
    height, width, channels = generator.image_shape
    faces = generator(sample).reshape(_SAMPLES, 8, height // 8, 8, width // 8, channels)
    pictures = faces.mean(axis=(2, 4)).reshape(_SAMPLES, -1).astype(np.float64)  # 8x8 pixels
    pictures -= pictures.mean(axis=0)
    _, components = np.linalg.eigh(pictures.T @ pictures)  # the largest come last
    components = components[:, : -DIRECTIONS - 1 : -1]
    components *= np.where(components.sum(axis=0) < 0, -1.0, 1.0)  # to the right is brighter
    directions = (pictures @ components).T @ generator.prior.to_normal(sample)
    return directions / np.linalg.norm(directions, axis=1, keepdims=True)
