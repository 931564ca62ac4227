"""Augmentation beside the same in PyTorch."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

import torch_augment as oracle  # noqa: E402

from facegen.train import augment  # noqa: E402
from facegen.train.augment import Augmentation  # noqa: E402
from facegen.train.faces.pytorch.augment import apply  # noqa: E402

N = 4
RANDOM = np.random.default_rng(0)
PICTURES = RANDOM.uniform(-1, 1, (N, 24, 24, 3)).astype(np.float32)
AMOUNTS = RANDOM.uniform(0.5, 1.5, N)
# Coordinates of 24 pixels in float32 err by some 1e-6 pixels, and pictures change by 2 a pixel.
TOLERANCE = 2e-5


def tensor(array: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(array, np.float32))


def to_torch(pictures: np.ndarray) -> torch.Tensor:
    return tensor(pictures).permute(0, 3, 1, 2)


def to_numpy(pictures: torch.Tensor) -> np.ndarray:
    return pictures.permute(0, 2, 3, 1).numpy()


MATRICES = {
    "translation": (0.2 * AMOUNTS, -0.1 * AMOUNTS),
    "rotation": (20 * AMOUNTS,),
    "scaling": (AMOUNTS,),
    "stretch": (AMOUNTS, 1 / AMOUNTS),
    "shear": (15 * AMOUNTS,),
}


@pytest.mark.parametrize("name", MATRICES)
def test_geometry(name: str) -> None:
    ours = getattr(augment, name)(*MATRICES[name])
    theirs = getattr(oracle, name)(*map(tensor, MATRICES[name]))
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-6)
    for lens in (None, 0.2 * AMOUNTS):
        warped = oracle.warp(to_torch(PICTURES), theirs, None if lens is None else tensor(lens))
        found = augment.warp(PICTURES, ours, lens)
        np.testing.assert_allclose(found, to_numpy(warped), rtol=0, atol=TOLERANCE)
    smaller = augment.warp(PICTURES, ours, side=16)
    expected = oracle.warp(to_torch(PICTURES), theirs, side=16)
    np.testing.assert_allclose(smaller, to_numpy(expected), rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("border", ["mirror", "black"])
def test_sampling(interpolation: str, border: str) -> None:
    """Far beyond the edges too, where bicubic convolution reaches over them; and its gradient."""
    matrix = augment.rotation(30 * AMOUNTS) @ augment.scaling(0.4 * AMOUNTS)
    grid = torch.nn.functional.affine_grid(tensor(matrix[:, :2]), [N, 3, 24, 24], False)
    padding = {"mirror": "reflection", "black": "zeros"}[border]
    pictures = to_torch(PICTURES).requires_grad_(True)
    expected = torch.nn.functional.grid_sample(pictures, grid, interpolation, padding, False)
    found = augment.warp(PICTURES, matrix, interpolation=interpolation, border=border)
    np.testing.assert_allclose(found, to_numpy(expected.detach()), rtol=0, atol=TOLERANCE)
    gradient = RANDOM.standard_normal(PICTURES.shape).astype(np.float32)
    expected.backward(to_torch(gradient))
    back = augment.warp_adjoint(gradient, matrix, interpolation=interpolation, border=border)
    assert pictures.grad is not None
    np.testing.assert_allclose(back, to_numpy(pictures.grad), rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", ["brightness", "contrast", "saturation", "hue"])
def test_colour(name: str) -> None:
    amounts = 40 * AMOUNTS if name == "hue" else AMOUNTS
    expected = getattr(oracle, name)(to_torch(PICTURES), tensor(amounts))
    found = getattr(augment, name)(PICTURES, amounts)
    np.testing.assert_allclose(found, to_numpy(expected), rtol=0, atol=2e-6)


def test_colour_axes() -> None:
    ours = augment.colour_axes(PICTURES)
    theirs = oracle.colour_axes(to_torch(PICTURES)).numpy()
    np.testing.assert_allclose(ours * np.sign(ours[:, :1]), theirs * np.sign(theirs[:, :1]),
                               rtol=0, atol=1e-5)
    amounts = RANDOM.standard_normal((N, 3))
    expected = oracle.pca_jitter(to_torch(PICTURES), tensor(amounts), tensor(ours))
    found = augment.pca_jitter(PICTURES, amounts, ours)
    np.testing.assert_allclose(found, to_numpy(expected), rtol=0, atol=2e-6)


def test_cutout() -> None:
    x, y = RANDOM.random((2, N))
    expected = oracle.cutout(to_torch(PICTURES), tensor(x), tensor(y), 0.35)
    np.testing.assert_array_equal(augment.cutout(PICTURES, x, y, 0.35), to_numpy(expected))


def test_a_change_made_by_torch() -> None:
    policy = Augmentation(flip=0.5, translate=0.2, rotate=20, shear=10, lens=0.2, brightness=0.3,
                          contrast=0.5, saturation=0.5, hue=30, cutout=0.3)
    for change in (policy.draw(N, RANDOM), Augmentation(flip=0.5).draw(N, RANDOM)):
        pictures = to_torch(PICTURES).requires_grad_(True)
        expected = apply(change, pictures)
        found = change(PICTURES)
        np.testing.assert_allclose(found, to_numpy(expected.detach()), rtol=0, atol=4e-5)
        gradient = RANDOM.standard_normal(PICTURES.shape).astype(np.float32)
        expected.backward(to_torch(gradient))
        assert pictures.grad is not None
        adjoint = to_numpy(pictures.grad)
        np.testing.assert_allclose(change.adjoint(gradient), adjoint, rtol=0, atol=1e-4)
