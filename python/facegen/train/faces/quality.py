"""How good generated pictures are, measured against real ones without another network.

- Sliced Wasserstein distance (Rabin et al. 2011; Karras et al. 2018): patches of 7x7 at each level
  of a Laplacian pyramid, their distributions compared along random directions. Small is good; the
  finest level is about sharpness, the 16 level about shape and colour.
- Diversity: how far generated pictures are from each other, over how far real ones are. 1 is as
  diverse as the real ones, 0 is a collapse.
- Nearest: how far generated pictures are from the nearest real one, over how far real ones are from
  their nearest. Far under 1 is copying, far over 1 is what no real picture looks like.

Pictures are float32 (n, side, side, 3) in -1 to 1; the side is 64, or 128 with a level more.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

LEVELS = (128, 64, 32, 16)
GRID = 16  # the side at which whole pictures are compared
_PATCH = 7
_PATCHES = 64  # of a picture at a level
_DIRECTIONS = 512
_TAPS = np.array([1, 4, 6, 4, 1], np.float32) / 16

Floats = NDArray[np.float32]


def measure(real: Floats, fake: Floats, seed: int = 0) -> dict[str, float]:
    """All measures of two batches of pictures of one size.

    Returns
    -------
    "swd128" of large pictures, "swd64", "swd32", "swd16" (times 1000), "swd" (their mean),
    "diversity", "nearest".
    """
    random = np.random.default_rng(seed)
    result = {}
    pyramids = laplacian(real), laplacian(fake)
    levels = LEVELS[-len(pyramids[0]) :]
    for level, of_real, of_fake in zip(levels, *pyramids, strict=True):
        result[f"swd{level}"] = 1000 * _sliced_wasserstein(of_real, of_fake, random)
    result["swd"] = sum(result.values()) / len(levels)
    real_features, fake_features = features(real), features(fake)
    among_real = distances(real_features, real_features)
    among_fake = distances(fake_features, fake_features)
    result["diversity"] = float(among_fake.mean() / among_real.mean())
    np.fill_diagonal(among_real, np.inf)
    nearest_real = among_real.min(axis=1).mean()
    nearest_fake = distances(fake_features, real_features).min(axis=1).mean()
    result["nearest"] = float(nearest_fake / nearest_real)
    return result


def features(pictures: Floats) -> Floats:
    """Pictures at a side of 16 as rows, (n, 768): distances of shape and colour."""
    n, height, width, channels = pictures.shape
    blocks = pictures.reshape(n, GRID, height // GRID, GRID, width // GRID, channels)
    return blocks.mean(axis=(2, 4)).reshape(n, -1)


def distances(a: Floats, b: Floats) -> NDArray[np.float64]:
    """Between all rows of a and of b: (len(a), len(b))."""
    squares = [np.einsum("ij,ij->i", x, x, dtype=np.float64) for x in (a, b)]
    products = a.astype(np.float64) @ b.T.astype(np.float64)
    return np.sqrt(np.maximum(squares[0][:, None] + squares[1] - 2 * products, 0))


def nearest(
    queries: Floats, pictures: Floats, chunk: int = 8192
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Distance to the nearest of `pictures` and its index, by rows of `features`; each (n,)."""
    best = np.full(len(queries), np.inf)
    index = np.zeros(len(queries), np.int64)
    rows = np.arange(len(queries))
    for start in range(0, len(pictures), chunk):
        apart = distances(queries, pictures[start : start + chunk])
        places = apart.argmin(axis=1)
        closer = apart[rows, places] < best
        best[closer] = apart[rows, places][closer]
        index[closer] = places[closer] + start
    return best, index


def laplacian(pictures: Floats) -> list[Floats]:
    """Details of each level, the picture of side 16 last."""
    levels = []
    while pictures.shape[1] > LEVELS[-1]:
        smaller = pictures
        for axis in (1, 2):
            smaller = _halve(smaller, axis)
        larger = smaller
        for axis in (1, 2):
            larger = _double(larger, axis)
        levels.append(pictures - larger)
        pictures = smaller
    return [*levels, pictures]


def _halve(pictures: Floats, axis: int) -> Floats:
    """Blurred along an axis by binomial taps, reflected at the ends; every second pixel."""
    x = np.moveaxis(pictures, axis, 0)
    padded = np.concatenate([x[2:0:-1], x, x[-2:-4:-1]])
    size = len(x) // 2
    halved = sum(tap * padded[i : i + 2 * size : 2] for i, tap in enumerate(_TAPS))
    return np.moveaxis(np.asarray(halved), 0, axis)


def _double(pictures: Floats, axis: int) -> Floats:
    """Bilinear, an axis twice as long."""
    x = np.moveaxis(pictures, axis, 0)
    padded = np.concatenate([x[:1], x, x[-1:]])
    doubled = np.empty((2 * len(x), *x.shape[1:]), np.float32)
    quarter, rest = np.float32(0.25), np.float32(0.75)
    doubled[::2] = quarter * padded[:-2] + rest * x
    doubled[1::2] = rest * x + quarter * padded[2:]
    return np.moveaxis(doubled, 0, axis)


def _patches(pictures: Floats, random: np.random.Generator) -> Floats:
    """Random patches of every picture: (n * _PATCHES, _PATCH^2, 3)."""
    n, height, width, channels = pictures.shape
    y = random.integers(height - _PATCH + 1, size=(n, _PATCHES))
    x = random.integers(width - _PATCH + 1, size=(n, _PATCHES))
    windows = np.lib.stride_tricks.sliding_window_view(pictures, (_PATCH, _PATCH), axis=(1, 2))
    found = windows[np.arange(n)[:, None], y, x]  # (n, patches, channels, 7, 7)
    return np.moveaxis(found, 2, 4).reshape(n * _PATCHES, _PATCH * _PATCH, channels)


def _sliced_wasserstein(real: Floats, fake: Floats, random: np.random.Generator) -> float:
    a, b = _patches(real, random), _patches(fake, random)
    mean = a.mean(axis=(0, 1), dtype=np.float64).astype(np.float32)
    deviation = a.std(axis=(0, 1), dtype=np.float64).astype(np.float32) + np.float32(1e-8)
    a, b = (((x - mean) / deviation).reshape(len(x), -1) for x in (a, b))
    directions = random.standard_normal((a.shape[1], _DIRECTIONS)).astype(np.float32)
    directions /= np.linalg.norm(directions, axis=0)
    total = 0.0
    for part in np.split(directions, _DIRECTIONS // 64, axis=1):  # bounded memory
        # Sorted as rows: neighbouring numbers.
        along = [np.sort(part.T @ x.T, axis=1) for x in (a, b)]
        total += float(np.abs(along[0] - along[1]).mean(dtype=np.float64))
    return total / (_DIRECTIONS / 64)
