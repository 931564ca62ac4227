"""Measures of generated pictures."""

from __future__ import annotations

import numpy as np
import pytest

from facegen.train import augment
from facegen.train.faces import quality

RANDOM = np.random.default_rng(0)


def smooth(n: int) -> np.ndarray:
    coarse = RANDOM.uniform(-1, 1, (n, 8, 8, 3)).astype(np.float32)
    return augment.warp(coarse, np.tile(np.eye(3), (n, 1, 1)), side=64, interpolation="bicubic")


def test_quality_of_alike_and_of_other_pictures() -> None:
    pictures = smooth(64)
    one, two = pictures[:32], pictures[32:]
    noise = 0.3 * RANDOM.standard_normal(two.shape, np.float32)
    alike = quality.measure(one, two)
    noisy = quality.measure(one, two + noise)
    collapsed = quality.measure(one, np.repeat(two[:1], 32, axis=0))
    copied = quality.measure(one, one)
    assert alike["swd64"] < noisy["swd64"] / 3
    assert 0.9 < alike["diversity"] < 1.1 and collapsed["diversity"] < 1e-3
    assert 0.9 < alike["nearest"] < 1.1 and copied["nearest"] < 0.01


def test_nearest() -> None:
    rows = RANDOM.random((50, 8), np.float32)
    distance, index = quality.nearest(rows[[7, 42]] + np.float32(1e-3), rows, chunk=16)
    assert index.tolist() == [7, 42] and distance.max() < 0.01


def test_distances() -> None:
    a, b = RANDOM.random((5, 7), np.float32), RANDOM.random((6, 7), np.float32)
    expected = np.linalg.norm(a[:, None].astype(float) - b, axis=2)
    np.testing.assert_allclose(quality.distances(a, b), expected, atol=1e-7)


def test_the_pyramid_gives_the_picture_back() -> None:
    picture = smooth(2)
    details = quality.laplacian(picture)
    assert [level.shape[1] for level in details] == [64, 32, 16]
    again = details[-1]
    for level in details[-2::-1]:
        for axis in (1, 2):
            again = quality._double(again, axis)
        again = again + level
    np.testing.assert_allclose(again, picture, atol=1e-6)


def test_against_torch() -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    picture = smooth(3)
    x = torch.from_numpy(picture).permute(0, 3, 1, 2)
    taps = torch.tensor([1.0, 4, 6, 4, 1]) / 16
    padded = torch.nn.functional.pad(x, (2, 2, 2, 2), mode="reflect")
    kernel = (taps[:, None] * taps).expand(3, 1, 5, 5)
    smaller = torch.nn.functional.conv2d(padded, kernel, groups=3)[:, :, ::2, ::2]
    larger = torch.nn.functional.interpolate(smaller, scale_factor=2, mode="bilinear")
    found = quality.laplacian(picture)[0]
    np.testing.assert_allclose(found, (x - larger).permute(0, 2, 3, 1), atol=1e-6)
    pooled = torch.nn.functional.avg_pool2d(x, 4).permute(0, 2, 3, 1).flatten(1)
    np.testing.assert_allclose(quality.features(picture), pooled, atol=1e-6)
