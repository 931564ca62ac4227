"""pix2pix and the colorizer of other widths: saved with their graphs, run by the same models."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import facegen
from facegen.loading import load_known
from facegen.networks import colorizer, pix2pix
from facegen.networks.seeded import seeded_weights
from facegen.nn import Graph


def narrow(graph: Graph, path: Path) -> Path:
    facegen.save(path, graph, seeded_weights(graph.parameters, 0))
    return path


@pytest.mark.parametrize("width", [1, 8])
def test_a_narrow_pix2pix_runs(tmp_path: Path, width: int) -> None:
    path = narrow(pix2pix.graph(width), tmp_path / "mine.safetensors")
    pixels = np.random.default_rng(0).integers(0, 256, (2, 256, 256, 3), np.uint8)
    made = facegen.Pix2Pix(path, device="cpu")(pixels)
    expected = facegen.load(path, device="cpu").runner(pixels, pixels=True, as_pixels=True)
    np.testing.assert_array_equal(made, expected)
    assert isinstance(load_known(path, device="cpu"), facegen.Pix2Pix)  # so the page takes it too


def test_a_narrow_colorizer_runs(tmp_path: Path) -> None:
    path = narrow(colorizer.graph(width=4), tmp_path / "mine.safetensors")
    lightness = np.random.default_rng(0).uniform(0, 100, (1, 256, 256)).astype(np.float32)
    ab = facegen.Colorizer(path, device="cpu").predict_ab(lightness)
    expected = facegen.load(path, device="cpu").runner(lightness[..., np.newaxis])
    np.testing.assert_array_equal(ab, expected.transpose(0, 3, 1, 2))


@pytest.mark.parametrize("graph", [pix2pix.graph, colorizer.graph])
def test_the_published_width_is_the_networks_own(graph: object) -> None:
    network = facegen.networks.NETWORKS["pix2pix" if graph is pix2pix.graph else "colorizer"]
    assert graph(width=64).parameters == network.shapes  # type: ignore[operator]


def test_a_colorizers_scores_are_the_front_of_its_graph() -> None:
    whole, scores = colorizer.graph(32, 4), colorizer.score_graph(32, 4)
    names = [node.name for node in scores.nodes]
    assert [node.name for node in whole.nodes][: len(names)] == names
    assert names[-1] == "conv8_313" and scores.outputs[0].shape == (8, 8, colorizer.BINS)
