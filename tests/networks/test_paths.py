"""Walks through latent space."""

from __future__ import annotations

import numpy as np
import pytest

from facegen.networks.dcgan import latents
from facegen.networks.paths import walk


def test_it_passes_its_stations() -> None:
    stations = latents([1, 5, 9])
    closed, opened = walk(stations, 60), walk(stations, 61, closed=False)
    assert closed.shape == (60, 100) and closed.dtype == np.float32
    # The way to a normal distribution and back costs a few roundings of float64.
    np.testing.assert_allclose(closed[[0, 20, 40]], stations, atol=1e-5)
    np.testing.assert_allclose(opened[[0, 30, 60]], stations, atol=1e-5)


def test_a_closed_walk_has_no_seam() -> None:
    points = walk(latents([1, 5, 9]), 60)
    steps = np.linalg.norm(np.diff(np.concatenate([points, points[:1]]), axis=0), axis=1)
    assert steps.max() < 2 * steps.min()


def test_points_between_are_distributed_as_the_prior() -> None:
    stations = latents(range(40))
    points = walk(stations, 40 * 8)
    assert np.abs(points).max() <= 1
    halves = points[4::8]
    # Uniform in -1 to 1: mean square 1/3 with a standard error of 0.3 / sqrt(4000) = 0.005; a
    # straight line would have 1/6.
    assert abs(np.mean(halves**2) - 1 / 3) < 0.03
    edges = np.linspace(-1, 1, 5)
    share = np.histogram(halves, edges)[0] / halves.size
    np.testing.assert_allclose(share, 0.25, atol=0.04)


def test_opposite_and_equal_ends() -> None:
    corner = np.ones((1, 100), np.float32)
    for ends in (np.concatenate([corner, -corner]), np.concatenate([corner, corner])):
        points = walk(ends, 5, closed=False)
        assert np.isfinite(points).all() and np.abs(points).max() <= 1
        np.testing.assert_allclose(points[[0, -1]], ends, atol=1e-5)


@pytest.mark.parametrize(("count", "frames"), [(1, 10), (2, 1)])
def test_too_few(count: int, frames: int) -> None:
    with pytest.raises(ValueError, match="needs 2 latents and 2 frames"):
        walk(latents(range(count)), frames)
