"""The 313 colours that the colorizer tells apart, and pixels as shares of them.

Zhang, Isola, Efros: Colorful Image Colorization (ECCV 2016), section 2.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from facegen.colour.lab import rgb_to_lab
from facegen.networks.colorizer import AB_SCALE, BINS

STEP = 10  # of the grid of colours
NEIGHBOURS = 5
SIGMA = 5.0  # of the Gaussian by which a colour is shared among its neighbours
UNIFORM = 0.5  # share of the uniform distribution in what rebalancing goes by, as published

_REACH, _CELL, _AROUND = 128, 2, 12  # see Bins


@cache
def grid() -> NDArray[np.float32]:
    """Points (313, 2) of a and b for a network from nothing, in order of a and then b.

    Those of the grid of step 10 that are nearest to what sRGB can show at any lightness. A network
    that is trained further has its own: see `of_network`.
    """
    side = np.arange(-11 * STEP, 11 * STEP + 1, STEP)
    points = np.stack(np.meshgrid(side, side, indexing="ij"), -1).reshape(-1, 2)
    # Whatever colours there are, one of the same a and b lies on the surface of the cube of RGB.
    line = np.linspace(0, 255, 52).round().astype(np.uint8)
    u, v = (axis.ravel() for axis in np.meshgrid(line, line))
    faces = [
        np.insert(np.stack([u, v], -1), axis, end, axis=1) for axis in range(3) for end in (0, 255)
    ]
    shown = rgb_to_lab(np.concatenate(faces))[:, 1:]
    squares = np.array([((shown - point) ** 2).sum(axis=1).min() for point in points])
    nearest = np.sort(np.argsort(squares, kind="stable")[:BINS])
    return points[nearest].astype(np.float32)


def of_network(model_out: NDArray[np.float32]) -> NDArray[np.float32]:
    """The points (313, 2) of a network, whose last convolution (2, 1, 1, 313) holds them."""
    return np.ascontiguousarray(model_out.reshape(2, BINS).T * np.float32(AB_SCALE))


def to_network(points: NDArray[np.float32]) -> NDArray[np.float32]:
    """The way back: (2, 1, 1, 313)."""
    return np.ascontiguousarray(points.T / np.float32(AB_SCALE)).reshape(2, 1, 1, BINS)


class Bins:
    """Colours as shares of points.

    Parameters
    ----------
    points
        (313, 2) of a and b.
    """

    def __init__(self, points: NDArray[np.float32]) -> None:
        self.points = points
        # The points around every cell of a and b, by which those of any colour are found. On a grid
        # of step 10 the 5 that are nearest to a place of a cell are among the 12 of its middle.
        side = np.arange(-_REACH, _REACH + 1, _CELL, dtype=np.float32)
        middles = np.stack(np.meshgrid(side, side, indexing="ij"), -1).reshape(-1, 2)
        self._cells = len(side)
        self._near = np.argpartition(_squares(middles, points), _AROUND, axis=1)[:, :_AROUND]

    def shares(self, ab: NDArray[np.float32]) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
        """The five nearest points of colours, the nearest first, and how much each has of them.

        Parameters
        ----------
        ab
            (..., 2)

        Returns
        -------
        (..., 5) numbers of points, and (..., 5) float32, whose sum is 1: a Gaussian of the
        distance, sigma 5.
        """
        flat = np.ascontiguousarray(ab, np.float32).reshape(-1, 2)
        cell = np.rint((np.clip(flat, -_REACH, _REACH) + _REACH) / _CELL).astype(np.intp)
        near = self._near[cell[:, 0] * self._cells + cell[:, 1]]
        squares = ((self.points[near] - flat[:, None]) ** 2).sum(axis=2)
        order = np.argsort(squares, axis=1, kind="stable")[:, :NEIGHBOURS]
        near, squares = (np.take_along_axis(each, order, 1) for each in (near, squares))
        # The least distance taken off, no colour's shares vanish, however far from all points.
        shares = np.exp((squares[:, :1] - squares) / np.float32(2 * SIGMA**2))
        shares /= shares.sum(axis=1, keepdims=True)
        shape = (*ab.shape[:-1], NEIGHBOURS)
        return near.reshape(shape), shares.reshape(shape)

    def targets(
        self, ab: NDArray[np.float32], weights: NDArray[np.float32] | None = None
    ) -> NDArray[np.float32]:
        """Shares of all points, (..., 313), times the weight of each pixel's nearest point."""
        near, shares = self.shares(ab)
        if weights is not None:
            shares = shares * weights[near[..., :1]]
        found = np.zeros((*ab.shape[:-1], BINS), np.float32)
        near, shares = near.reshape(-1, NEIGHBOURS), shares.reshape(-1, NEIGHBOURS)
        found.reshape(-1)[np.arange(len(near))[:, None] * BINS + near] = shares
        return found

    def distribution(self, ab: NDArray[np.float32]) -> NDArray[np.float64]:
        """How much of some colours (..., 2) each point has, (313,), whose sum is their number."""
        near, shares = self.shares(ab)
        counts = np.bincount(near.ravel(), shares.ravel(), minlength=BINS)
        return counts.astype(np.float64)


def rebalancing(
    distribution: NDArray[np.float64], uniform: float = UNIFORM
) -> NDArray[np.float32]:
    """What pixels of each point count, (313,): rare colours more.

    ``1 / ((1 - uniform) p + uniform / 313)``, scaled so that its mean over p is 1: with `uniform`
    1, all count alike.
    """
    p = distribution / distribution.sum()
    weights = 1.0 / ((1.0 - uniform) * p + uniform / BINS)
    return (weights / (p * weights).sum()).astype(np.float32)


def _squares(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
    """Squares of the distances, (len(a), len(b)), less those of `a` from the origin."""
    return (b * b).sum(axis=1) - 2.0 * (a @ b.T)
