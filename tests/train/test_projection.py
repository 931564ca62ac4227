"""Latent vectors of given faces."""

from __future__ import annotations

import numpy as np
import pytest

from facegen.networks import dcgan
from facegen.networks.priors import NORMAL, UNIFORM
from facegen.train.faces import projection
from facegen.train.faces.projection import Projector, coarse, within


@pytest.fixture(scope="module")
def projector() -> Projector:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(projection, "_TRIED", 16)
        return Projector(dcgan.Generator(dcgan.initial_weights(2), device="cpu"), threads=1)


def test_it_comes_nearer(projector: Projector) -> None:
    """To faces of seeds that are not among those where it starts."""
    target = projector.generator.generate([100, 101])
    near, nearer = (projector(target, steps, restarts=2) for steps in (1, 25))
    assert near.latents.shape == (2, 100) and near.errors.shape == (2,)
    assert (nearer.errors < 0.7 * near.errors).all()
    assert np.abs(nearer.latents).max() <= 1
    # The error is that of the very faces.
    apart = 127.5 * np.sqrt(np.square(projector.generator(nearer.latents) - target).mean((1, 2, 3)))
    np.testing.assert_allclose(apart, nearer.errors, rtol=1e-3)


def test_a_face_that_is_known(projector: Projector) -> None:
    """Seed 3 is where it starts: nothing is nearer."""
    generator = projector.generator
    found = projector(generator.generate([3]), steps=1, restarts=1)
    np.testing.assert_array_equal(found.latents, generator.latents([3]))
    assert found.errors[0] < 0.01


def test_the_generator_stays(projector: Projector) -> None:
    weights = dcgan.initial_weights(2)
    projector(projector.generator.generate([50]), steps=2, restarts=1)
    for name, values in projector._trainer.weights.items():
        np.testing.assert_array_equal(values, weights[name], err_msg=name)


def test_pictures_of_another_size(projector: Projector) -> None:
    with pytest.raises(ValueError, match=r"pictures: expected \(n, 64x64x3\), found"):
        projector(np.zeros((1, 32, 32, 3), np.float32))


def test_latents_stay_where_they_are_drawn() -> None:
    z = np.array([[-5, 0.5, 2]], np.float32)
    assert within(UNIFORM, z).tolist() == [[-1, 0.5, 1]]
    assert within(NORMAL, z).tolist() == [[-3, 0.5, 2]]


def test_coarse_pictures() -> None:
    pictures = np.random.default_rng(0).random((2, 64, 64, 3), np.float32)
    rows = coarse(pictures)
    assert rows.shape == (2, 768)
    np.testing.assert_allclose(rows[1, :3], pictures[1, :4, :4].mean((0, 1)), rtol=1e-5)
    assert coarse(pictures[:, :8, :8]).shape == (2, 192)
