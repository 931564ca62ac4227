"""Walks through latent space, from face to face.

The prior is uniform in a cube. A straight line between two of its points leads through the middle
of the cube, where the prior seldom is (half way, the mean square is half of what it is at the
ends), and faces turn average there; an arc of constant length leaves the cube. So coordinates are
taken to a normal distribution and back by its distribution function, and the arc is followed in
between: points half way are distributed as the prior is, exactly so for ends that are orthogonal
there, as independent ones nearly are.
"""

from __future__ import annotations

from statistics import NormalDist

import numpy as np

_NORMAL = NormalDist()
_EDGE = 1e-6  # how near -1 and 1 a coordinate may be: their normal values are infinite


def walk(latents: np.ndarray, frames: int, closed: bool = True) -> np.ndarray:
    """Points on the way from each latent vector to the next.

    Parameters
    ----------
    latents
        (n, 100) in -1 to 1, n at least 2.
    frames
        Points in all, spread evenly; at least 2.
    closed
        Return to the first vector. The frame after the last would be the first one again.

    Returns
    -------
    (frames, 100) float32, within -1 to 1.
    """
    if len(latents) < 2 or frames < 2:
        raise ValueError(f"a walk needs 2 latents and 2 frames, not {len(latents)} and {frames}")
    stations = to_normal(latents)
    if closed:
        stations = np.concatenate([stations, stations[:1]])
    legs = len(stations) - 1
    points = np.empty((frames, latents.shape[1]))
    for i, place in enumerate(np.linspace(0, legs, frames, endpoint=not closed)):
        leg = min(int(place), legs - 1)
        points[i] = slerp(stations[leg], stations[leg + 1], place - leg)
    return from_normal(points)


def to_normal(latents: np.ndarray) -> np.ndarray:
    """Coordinates that are uniform in -1 to 1 as such that are normally distributed (float64)."""
    return _each(_NORMAL.inv_cdf, (np.clip(latents, _EDGE - 1, 1 - _EDGE) + 1.0) / 2)


def from_normal(points: np.ndarray) -> np.ndarray:
    """The way back: float32 within -1 to 1."""
    return (2 * _each(_NORMAL.cdf, points) - 1).astype(np.float32)


def slerp(a: np.ndarray, b: np.ndarray, t: float) -> np.ndarray:
    """Spherical linear interpolation (Shoemake 1985); straight where the ends point one way."""
    cosine = a @ b / (np.linalg.norm(a) * np.linalg.norm(b))
    angle = np.arccos(np.clip(cosine, -1, 1))
    if np.sin(angle) < 1e-6:
        return (1 - t) * a + t * b
    return (np.sin((1 - t) * angle) * a + np.sin(t * angle) * b) / np.sin(angle)


def _each(function, values: np.ndarray) -> np.ndarray:
    return np.array([function(value) for value in values.flat]).reshape(values.shape)
