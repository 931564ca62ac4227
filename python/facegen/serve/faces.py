"""Faces: seeds, the way from one face to another, and sliders that push them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from facegen.media.pictures import rgb
from facegen.networks.dcgan import Generator
from facegen.networks.paths import slerp
from facegen.networks.traits import Traits
from facegen.serve.places import Check, unchecked
from facegen.serve.sliders import NamelessSliders, Sliders, TraitSliders
from facegen.shares import chunks


@dataclass(frozen=True)
class Point:
    """A face: that of `seed`, moved by `t` (0 to 1) to that of `to`, pushed by sliders."""

    seed: int
    to: int | None = None
    t: float = 0.0
    amounts: Mapping[str, float] = field(default_factory=dict)


class Faces:
    """A generator with its sliders: named traits where there are some.

    What many faces are asked of has a `Check`, which is called before each piece of the work.
    """

    def __init__(self, generator: Generator, traits: Traits | None = None) -> None:
        self._generator = generator
        self.sliders: Sliders = (
            NamelessSliders(generator) if traits is None else TraitSliders(generator, traits)
        )

    def images(self, points: Sequence[Point], check: Check = unchecked) -> np.ndarray:
        """(n, height, width, 3) uint8."""
        return self._drawn([self._latent(point) for point in points], check)

    def ends(self, point: Point, check: Check = unchecked) -> np.ndarray:
        """The face with each slider at its two ends: (2 * sliders, height, width, 3) uint8."""
        reach = self.sliders.reach
        points = [
            replace(point, amounts={**point.amounts, name: end})
            for name in self.sliders.names
            for end in (-reach, reach)
        ]
        return self.images(points, check)

    def along(
        self, points: Sequence[Point], name: str, steps: int, check: Check = unchecked
    ) -> np.ndarray:
        """Each face with one slider at places from end to end: (n * steps, ..., 3) uint8."""
        amounts = np.linspace(-self.sliders.reach, self.sliders.reach, steps).tolist()
        moved = [
            replace(point, amounts={**point.amounts, name: amount})
            for point in points
            for amount in amounts
        ]
        return self.images(moved, check)

    def walk(
        self, points: Sequence[Point], frames: int, closed: bool, check: Check = unchecked
    ) -> np.ndarray:
        """The way from each point to the next, and back to the first if closed.

        Returns
        -------
        (frames, height, width, 3) uint8; the frame after the last of a closed one is the first.
        """
        stations = [*points, points[0]] if closed else list(points)
        places = [self._place(point) for point in stations]
        latents = []
        for at in np.linspace(0, len(stations) - 1, frames, endpoint=not closed).tolist():
            leg = min(int(at), len(stations) - 2)
            t = at - leg
            place = slerp(places[leg], places[leg + 1], t)
            amounts = _between(stations[leg].amounts, stations[leg + 1].amounts, t)
            latents.append(self.sliders.latent_at(place, amounts))
        return self._drawn(latents, check)

    def _drawn(self, latents: Sequence[np.ndarray], check: Check) -> np.ndarray:
        pieces = []
        for piece in chunks(latents, self._generator.runner.batch):
            check()
            pieces.append(rgb(self._generator.images(np.stack(piece))))
        return np.concatenate(pieces)

    def _latent(self, point: Point) -> np.ndarray:
        if point.to is None:
            return self.sliders.latent(point.seed, point.amounts)
        return self.sliders.latent_at(self._place(point), point.amounts)

    def _place(self, point: Point) -> np.ndarray:
        """(latent size,) normal coordinates, before sliders."""
        place = self._normal_of(point.seed)
        return place if point.to is None else slerp(place, self._normal_of(point.to), point.t)

    def _normal_of(self, seed: int) -> np.ndarray:
        (place,) = self._generator.prior.to_normal(self._generator.latents([seed]))
        return place


def _between(a: Mapping[str, float], b: Mapping[str, float], t: float) -> dict[str, float]:
    return {name: (1 - t) * a.get(name, 0.0) + t * b.get(name, 0.0) for name in {**a, **b}}
