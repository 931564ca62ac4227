"""Directions of traits, fitted to a generator."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from facegen import FormatError
from facegen.networks import dcgan, traits
from facegen.train.faces.traits import fit, main, read_labels, reduced
from facegen.weights import write

RANDOM = np.random.default_rng(0)


def test_what_goes_together_comes_apart() -> None:
    """Of labels that are linear, and correlated, a step along one changes no other."""
    own = RANDOM.standard_normal((3, 100))
    own[1] += own[0]
    z = RANDOM.uniform(-1, 1, (5000, 100)).astype(np.float32)
    labels = z @ own.T
    labels /= labels.std(axis=0)
    directions, told = fit(z, labels)
    assert told.min() > 0.999  # but for the ridge
    slopes = own / (z @ own.T).std(axis=0)[:, None]
    changed = directions @ slopes.T
    np.testing.assert_allclose(np.diag(changed), 1, atol=0.02)
    # A twentieth of the diagonal is added, which holds short what cannot be told apart.
    assert np.abs(changed - np.diag(np.diag(changed))).max() < 0.15


def test_large_pictures_are_averaged() -> None:
    pixels = RANDOM.integers(0, 256, (2, 128, 128, 3)).astype(np.uint8)
    found = reduced(pixels)
    assert found.shape == (2, 64, 64, 3)
    np.testing.assert_allclose(found[1, 3, 5], pixels[1, 6:8, 10:12].mean(axis=(0, 1)), atol=0.5)
    assert reduced(found) is found


def shades(folder: Path) -> tuple[str, str]:
    """Flat pictures, and how light they are."""
    light = np.linspace(0, 1, 120, dtype=np.float32)
    RANDOM.shuffle(light)
    noise = RANDOM.integers(0, 16, (120, 64, 64, 3))
    np.save(folder / "faces.npy", (light[:, None, None, None] * 239 + noise).astype(np.uint8))
    labels = np.empty(120, [("light", np.float32), ("fate", np.float32)])
    labels["light"], labels["fate"] = light, RANDOM.standard_normal(120)
    np.save(folder / "labels.npy", labels)
    return str(folder / "faces.npy"), str(folder / "labels.npy")


def test_a_trait_that_can_be_told_and_one_that_cannot(tmp_path: Path) -> None:
    network = tmp_path / "faces.safetensors"
    write(network, dcgan.DCGAN, dcgan.initial_weights(1))
    arguments = [str(network), *shades(tmp_path), "--steps", "60", "--made", "400"]
    result = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert "fate cannot be told from pictures" in result.output
    found = traits.directions(network)
    assert found.names == ["light"] and found.measured["light"]["told"] > 0.8
    generator = dcgan.Generator(network, device="cpu")
    z = generator.latents(range(16))
    means = [generator(found.move(z, {"light": by})).mean() for by in (-2, 0, 2)]
    assert means[0] < means[1] < means[2]


def test_other_labels(tmp_path: Path) -> None:
    path = tmp_path / "labels.npy"
    for array, message in (
        (np.zeros(4), "expected records of floats"),
        (np.zeros(3, [("a", "f4")]), "expected 4 labels, found 3"),
        (np.full(4, np.nan, "f4").view([("a", "f4")]), "is not finite"),
        (np.zeros(4, [("a", "O")]), "expected a .npy of labels"),
    ):
        np.save(path, array, allow_pickle=True)
        with pytest.raises(FormatError, match=message):
            read_labels(path, 4)
