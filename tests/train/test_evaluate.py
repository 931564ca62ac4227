"""Measures of a trained network."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from click.testing import CliRunner
from PIL import Image

from facegen.networks import dcgan
from facegen.train.faces.evaluate import main
from facegen.weights import write


def test_a_network_that_makes_its_training_pictures(tmp_path: Path) -> None:
    weights = dcgan.initial_weights(1)
    write(tmp_path / "network.bin", dcgan.DCGAN, weights)
    generator = dcgan.Generator(weights, device="cpu")
    np.save(tmp_path / "faces.npy", generator.images(dcgan.latents(range(200))))
    arguments = [str(tmp_path / "network.bin"), str(tmp_path / "faces.npy"), "--count", "64"]
    result = CliRunner().invoke(main, [*arguments, "-o", str(tmp_path)], catch_exceptions=False)
    assert result.exit_code == 0
    measured = json.loads((tmp_path / "evaluation.json").read_text())
    assert 0.9 < measured["diversity"] < 1.1 and 0.9 < measured["nearest"] < 1.1
    assert measured["nearest_fake"][0] > 0.1 and measured["closest_pair_fake"] > 0.1
    assert 1 <= measured["largest_step"] < 3
    assert Image.open(tmp_path / "samples.png").size == (1024, 640)
    assert Image.open(tmp_path / "walks.png").size == (1024, 512)
    # Seeds 0 to 47 are among the pictures: each finds itself.
    nearest = np.asarray(Image.open(tmp_path / "nearest.png")).reshape(3, 2, 64, 1024, 3)
    np.testing.assert_array_equal(nearest[:, 0], nearest[:, 1])
