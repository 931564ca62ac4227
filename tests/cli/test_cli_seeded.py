"""Commands say of seeded weights that what they make means nothing."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from command_line import Run, latent_text
from PIL import Image

from facegen.cli import models
from facegen.networks import NETWORKS
from facegen.networks.seeded import is_seeded

WARNING = "{}: seeded weights, for trials: the result means nothing"


@pytest.fixture
def run(run: Run, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setattr(models, "is_seeded", is_seeded)
    Path("in.txt").write_text(latent_text([1]))
    Image.fromarray(np.zeros((30, 40), np.uint8)).save("a.png")
    return run


@pytest.mark.parametrize(
    "kind, words",
    [
        ("dcgan", ["{}", "in.txt", "out.txt", "out.bmp"]),
        ("dcgan", ["generate", "-n", "{}", "-s", "1", "-o", "b.png"]),
        ("dcgan", ["demo", "b.png", "-n", "{}", "--grid", "1x1"]),
        ("dcgan", ["interpolate", "-n", "{}", "-s", "1,2", "--frames", "2", "-o", "b.gif"]),
        ("lenet", ["digits", "a.png", "-n", "{}"]),
        ("segmentation", ["segment", "a.png", "-n", "{}", "-o", "out"]),
        ("squeezenet", ["classify", "a.png", "-n", "{}"]),
    ],
)
def test_commands_that_use_them_say_so(run: Run, kind: str, words: list[str]) -> None:
    file = "network.safetensors"
    assert run("init", kind, file).err == ""
    command = [word.format(file) for word in words]
    lines = run(*command, "--device", "cpu").err.splitlines()
    assert lines.count(f"facegen: warning: {WARNING.format(file)}") == 1
    assert WARNING.format(file) not in run(*command, "--device", "cpu", "-q").err


@pytest.mark.parametrize("name", ["a.bin", "a.npz", "a.safetensors", "half.safetensors"])
def test_inspect_shows_it_in_every_format(run: Run, name: str) -> None:
    """Also where the file was converted, and of any seed."""
    assert run("init", "dcgan", "--seed", "123456789", "seeded.npz").code == 0
    half = ["--half"] if name.startswith("half") else []
    assert run("convert", "seeded.npz", name, *half).code == 0
    assert "seeded  : yes" in run("inspect", name).out
    assert json.loads(run("inspect", name, "--json", "-").out)["seeded"] is True


@pytest.mark.parametrize("name", ["default", "default:lenet"])
def test_trained_ones_are_none(run: Run, name: str) -> None:
    assert "seeded" not in run("inspect", name).out
    assert json.loads(run("inspect", name, "--json", "-").out)["seeded"] is False


def test_nothing_is_said_of_trained_ones(run: Run) -> None:
    assert run("generate", "-s", "1", "-o", "b.png", "--device", "cpu").err == ""


@pytest.mark.parametrize("kind", NETWORKS)
def test_which_weights_are_seeded(kind: str) -> None:
    """Those of every network; a layer or a bias that was trained makes them others."""
    weights = NETWORKS[kind].initial_weights(7)
    assert is_seeded(weights)
    for name in weights:
        if not name.endswith(".weight"):
            changed = weights[name].copy()
            changed[0] = 3.0
            assert not is_seeded(weights | {name: changed})
            break
    random = np.random.default_rng(0)
    bells = {
        name: random.normal(0, values.std(), values.shape) if name.endswith(".weight") else values
        for name, values in weights.items()
    }
    assert not is_seeded(bells)
    assert not is_seeded({name: np.zeros_like(values) for name, values in weights.items()})
