"""The 313 colours of the colorizer: shares of them, and how rare each is."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facegen.colour.lab import rgb_to_lab
from facegen.train.colorizer.bins import (
    NEIGHBOURS,
    SIGMA,
    Bins,
    grid,
    of_network,
    rebalancing,
    to_network,
)

EPS = np.finfo(np.float32).eps


@cache
def made() -> Bins:
    return Bins(grid())


@pytest.fixture(scope="module")
def bins() -> Bins:
    return made()


def test_the_grid_covers_what_srgb_shows() -> None:
    points = grid()
    assert points.shape == (313, 2) and len(np.unique(points, axis=0)) == 313
    assert (points % 10 == 0).all()
    # As published: in order of a, then b, from -90 and 50 on.
    assert points[:6].tolist() == [[-90, 50], [-90, 60], [-90, 70], [-90, 80], [-90, 90], [-80, 20]]
    assert (np.lexsort((points[:, 1], points[:, 0])) == np.arange(313)).all()
    rgb = np.random.default_rng(0).integers(0, 256, (2000, 3), np.uint8)
    ab = rgb_to_lab(rgb)[:, 1:]
    nearest = np.abs(ab[:, None] - points).max(axis=2).min(axis=1)
    assert nearest.max() <= 5 + 1e-3  # every colour has its own square of the grid


def test_points_go_into_a_network_and_back() -> None:
    model_out = to_network(grid())
    assert model_out.shape == (2, 1, 1, 313) and model_out.dtype == np.float32
    np.testing.assert_allclose(of_network(model_out), grid(), rtol=2 * EPS)


@given(st.integers(0, 2**32))
def test_shares_are_those_of_the_definition(seed: int) -> None:
    bins = made()
    ab = np.random.default_rng(seed).uniform(-115, 115, (50, 2)).astype(np.float32)
    near, shares = bins.shares(ab)
    distances = np.linalg.norm(ab[:, None].astype(np.float64) - grid(), axis=2)
    order = np.argsort(distances, axis=1)[:, :NEIGHBOURS]
    found = np.take_along_axis(distances, near, axis=1)
    expected = np.take_along_axis(distances, order, axis=1)
    # Points as far as each other may change places.
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4)
    weights = np.exp(-(expected**2 - expected[:, :1] ** 2) / (2 * SIGMA**2))
    weights /= weights.sum(axis=1, keepdims=True)
    # Squares up to 2e4 in float32, halved and over 25, in the exponent.
    np.testing.assert_allclose(shares, weights, rtol=2e4 * 4 * EPS / (2 * SIGMA**2), atol=1e-6)


def test_targets_are_shares_at_their_points(bins: Bins) -> None:
    ab = np.random.default_rng(1).normal(0, 30, (3, 4, 2)).astype(np.float32)
    targets = bins.targets(ab)
    assert targets.shape == (3, 4, 313) and targets.dtype == np.float32
    np.testing.assert_allclose(targets.sum(axis=2), 1, rtol=8 * EPS)
    assert ((targets > 0).sum(axis=2) <= NEIGHBOURS).all()
    near, _ = bins.shares(ab)
    weights = np.arange(313, dtype=np.float32)
    weighted = bins.targets(ab, weights)
    np.testing.assert_allclose(weighted, targets * weights[near[..., :1]], rtol=2 * EPS)


def test_a_point_itself_has_the_largest_share(bins: Bins) -> None:
    assert (bins.targets(grid()).argmax(axis=1) == np.arange(313)).all()


def test_colours_far_from_all_points_have_shares(bins: Bins) -> None:
    targets = bins.targets(np.array([[1e3, -1e3]], np.float32))
    assert np.isfinite(targets).all() and targets.sum() == pytest.approx(1)


def test_rare_colours_count_more_and_the_mean_weight_is_1(bins: Bins) -> None:
    ab = np.random.default_rng(2).normal(0, 10, (5000, 2)).astype(np.float32)
    distribution = bins.distribution(ab)
    assert distribution.sum() == pytest.approx(5000)
    weights = rebalancing(distribution)
    p = distribution / distribution.sum()
    assert (p * weights).sum() == pytest.approx(1)
    assert weights[p.argmin()] == weights.max() and weights[p.argmax()] == weights.min()
    # A colour that never comes counts by the uniform half alone: 2 * 313 against 1 / (p / 2 + ...).
    ratio = weights.max() / weights[p.argmax()]
    assert (rebalancing(distribution, uniform=1.0) == 1).all()
    assert ratio == pytest.approx((0.5 * p.max() + 0.5 / 313) / (0.5 / 313), rel=1e-3)
