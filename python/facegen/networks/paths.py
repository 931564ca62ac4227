"""Walks through latent space, from face to face.

A straight line between two points of a prior leads through its middle, where the prior seldom is
(half way, the mean square is half of what it is at the ends), and faces turn average there; an arc
of constant length leaves a cube, where the prior is uniform in one. So coordinates are taken to a
normal distribution and back by the prior's distribution function, and the arc is followed in
between: points half way are distributed as the prior is, exactly so for ends that are orthogonal
there, as independent ones nearly are.
"""

from __future__ import annotations

import numpy as np

from facegen.networks.priors import UNIFORM, Prior


def walk(
    latents: np.ndarray, frames: int, closed: bool = True, prior: Prior = UNIFORM
) -> np.ndarray:
    """Points on the way from each latent vector to the next.

    Parameters
    ----------
    latents
        (n, size) of `prior`, n at least 2.
    frames
        Points in all, spread evenly; at least 2.
    closed
        Return to the first vector. The frame after the last would be the first one again.

    Returns
    -------
    (frames, size) float32; of the uniform prior within -1 to 1.
    """
    if len(latents) < 2 or frames < 2:
        raise ValueError(f"a walk needs 2 latents and 2 frames, not {len(latents)} and {frames}")
    stations = prior.to_normal(latents)
    if closed:
        stations = np.concatenate([stations, stations[:1]])
    legs = len(stations) - 1
    points = np.empty((frames, latents.shape[1]))
    for i, place in enumerate(np.linspace(0, legs, frames, endpoint=not closed)):
        leg = min(int(place), legs - 1)
        points[i] = slerp(stations[leg], stations[leg + 1], place - leg)
    return prior.from_normal(points)


def slerp(a: np.ndarray, b: np.ndarray, t: float) -> np.ndarray:
    """Spherical linear interpolation (Shoemake 1985); straight where the ends point one way."""
    cosine = a @ b / (np.linalg.norm(a) * np.linalg.norm(b))
    angle = np.arccos(np.clip(cosine, -1, 1))
    if np.sin(angle) < 1e-6:
        return (1 - t) * a + t * b
    return (np.sin((1 - t) * angle) * a + np.sin(t * angle) * b) / np.sin(angle)
