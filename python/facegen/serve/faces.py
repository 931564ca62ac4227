"""Faces with handles: seeds, the way from one face to another, and sliders to push along."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from facegen.media.pictures import rgb
from facegen.networks.dcgan import Generator
from facegen.networks.paths import slerp
from facegen.networks.traits import Traits
from facegen.serve.handles import Handles, Named, Nameless


@dataclass(frozen=True)
class Point:
    """A face: that of `seed`, moved by `t` (0 to 1) to that of `to`, pushed along sliders."""

    seed: int
    to: int | None = None
    t: float = 0.0
    amounts: Mapping[str, float] = field(default_factory=dict)


class Faces:
    """A generator with its sliders: named traits where there are some."""

    def __init__(self, generator: Generator, traits: Traits | None = None) -> None:
        self._generator = generator
        self.handles: Handles = Nameless(generator) if traits is None else Named(generator, traits)

    def images(self, points: Sequence[Point]) -> np.ndarray:
        """(n, height, width, 3) uint8."""
        return self._drawn([self._latent(point) for point in points])

    def ends(self, point: Point) -> np.ndarray:
        """The face with each slider at its two ends: (2 * sliders, height, width, 3) uint8."""
        reach = self.handles.reach
        return self.images(
            [
                replace(point, amounts={**point.amounts, name: end})
                for name in self.handles.names
                for end in (-reach, reach)
            ]
        )

    def along(self, point: Point, name: str, steps: int) -> np.ndarray:
        """The face with one slider at `steps` places from end to end: (steps, ..., 3) uint8."""
        amounts = np.linspace(-self.handles.reach, self.handles.reach, steps).tolist()
        return self.images(
            [replace(point, amounts={**point.amounts, name: amount}) for amount in amounts]
        )

    def walk(self, points: Sequence[Point], frames: int, closed: bool) -> np.ndarray:
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
            latents.append(self.handles.latent_at(place, amounts))
        return self._drawn(latents)

    def _drawn(self, latents: Sequence[np.ndarray]) -> np.ndarray:
        return rgb(self._generator.images(np.stack(latents)))

    def _latent(self, point: Point) -> np.ndarray:
        if point.to is None:
            return self.handles.latent(point.seed, point.amounts)
        return self.handles.latent_at(self._place(point), point.amounts)

    def _place(self, point: Point) -> np.ndarray:
        """(latent size,) normal coordinates, before sliders."""
        place = self._normal_of(point.seed)
        return place if point.to is None else slerp(place, self._normal_of(point.to), point.t)

    def _normal_of(self, seed: int) -> np.ndarray:
        (place,) = self._generator.prior.to_normal(self._generator.latents([seed]))
        return place


def _between(a: Mapping[str, float], b: Mapping[str, float], t: float) -> dict[str, float]:
    return {name: (1 - t) * a.get(name, 0.0) + t * b.get(name, 0.0) for name in {**a, **b}}
