"""What the sliders of the face page do: named traits, or directions that nobody has named."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np

from facegen.networks.dcgan import Generator
from facegen.networks.traits import Traits

DIRECTIONS = 8
TRAIT_REACH = 3.0  # standard deviations, at either end of a slider
_PUSH = 6.0  # of a direction at 1, where each coordinate of a face has a standard deviation of 1
_SAMPLES = 1024
_FIRST_SAMPLE = 1 << 32  # seeds that people do not look at

Amounts = Mapping[str, float]


class Sliders(Protocol):
    """Their names, how far each goes to either side, and what they do to a face."""

    @property
    def names(self) -> list[str]: ...

    @property
    def reach(self) -> float: ...

    def latent(self, seed: int, amounts: Amounts) -> np.ndarray:
        """(latent size,) float32: the face of a seed, pushed."""

    def latent_at(self, place: np.ndarray, amounts: Amounts) -> np.ndarray:
        """The same of normal coordinates (latent size,), where ways from face to face lead."""


class TraitSliders:
    """The traits of the file beside a network: amounts are those of ``generate --trait``."""

    reach = TRAIT_REACH

    def __init__(self, generator: Generator, traits: Traits) -> None:
        self._generator, self._traits = generator, traits

    @property
    def names(self) -> list[str]:
        return self._traits.names

    def latent(self, seed: int, amounts: Amounts) -> np.ndarray:
        (latent,) = self._traits.move(self._generator.latents([seed]), amounts)
        return latent

    def latent_at(self, place: np.ndarray, amounts: Amounts) -> np.ndarray:
        return self._traits.move(self._generator.prior.from_normal(place), amounts)


class NamelessSliders:
    """Principal components of a generator's own pictures, taken back to latent space.

    Each direction says along which latent vector one component of the picture changes most.
    """

    reach = 1.0

    def __init__(self, generator: Generator) -> None:
        self._generator = generator
        self._directions = dict(zip(_NAMELESS, _directions(generator), strict=True))

    @property
    def names(self) -> list[str]:
        return list(self._directions)

    def latent(self, seed: int, amounts: Amounts) -> np.ndarray:
        (place,) = self._generator.prior.to_normal(self._generator.latents([seed]))
        return self.latent_at(place, amounts)

    def latent_at(self, place: np.ndarray, amounts: Amounts) -> np.ndarray:
        for name, amount in amounts.items():
            place = place + _PUSH * amount * self._directions[name]
        return self._generator.prior.from_normal(place)


_NAMELESS = [f"direction_{i}" for i in range(1, DIRECTIONS + 1)]


def _directions(generator: Generator) -> np.ndarray:
    """The covariance of latent coordinates with the pictures' principal components.

    Returns
    -------
    (DIRECTIONS, latent size), unit vectors.
    """
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
