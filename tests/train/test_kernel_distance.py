"""The distance of two sets of pictures by a network's features."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from facegen import FacegenError, weights
from facegen.networks import NETWORKS
from facegen.train.faces.kernel_distance import Encoder, kernel_distance

RANDOM = np.random.default_rng(0)


def test_by_its_definition() -> None:
    a, b = RANDOM.standard_normal((5, 3)), RANDOM.standard_normal((4, 3))
    found = kernel_distance(7 * a, 7 * b)
    scale = np.sqrt(np.square(a).mean())
    a, b = a / scale, b / scale

    def k(x: np.ndarray, y: np.ndarray) -> float:
        return float((x @ y / 3 + 1) ** 3)

    of_a = np.mean([k(x, y) for i, x in enumerate(a) for j, y in enumerate(a) if i != j])
    of_b = np.mean([k(x, y) for i, x in enumerate(b) for j, y in enumerate(b) if i != j])
    between = np.mean([k(x, y) for x in a for y in b])
    # Sums of 25 numbers of a few thousand at most, in float64.
    assert found == pytest.approx(of_a + of_b - 2 * between, abs=1e-9)


def test_alike_and_other_sets() -> None:
    a, b = RANDOM.standard_normal((2, 400, 16))
    assert abs(kernel_distance(a, b)) < kernel_distance(a, b + 0.5) / 10


def test_features_of_pictures(tmp_path: Path) -> None:
    squeezenet, path = NETWORKS["squeezenet"], tmp_path / "squeezenet.safetensors"
    weights.write(path, squeezenet, squeezenet.initial_weights(0))
    pictures = RANDOM.integers(0, 256, (2, 64, 64, 3)).astype(np.uint8)
    found = Encoder(path)(pictures)
    assert found.shape == (2, 512) and np.isfinite(found).all()
    assert not np.array_equal(found[0], found[1])


def test_another_network(tmp_path: Path) -> None:
    path = tmp_path / "digits.safetensors"
    weights.write(path, NETWORKS["lenet"], NETWORKS["lenet"].initial_weights(0))
    with pytest.raises(FacegenError, match="holds a lenet network, expected squeezenet"):
        Encoder(path)
