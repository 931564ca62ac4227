"""facegen train classifier, and what facegen classify says of its result."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from command_line import Run
from PIL import Image

import facegen
from facegen import nn
from facegen.train.initial_weights import initial_weights

SMALL = ("--from", "start.safetensors", "--epochs", "6", "--learning-rate", "0.05")
SMALL += ("--device", "cpu")


@pytest.fixture
def pictures(tmp_path: Path) -> str:
    """Dark and bright pictures, and a network to start from."""
    random = np.random.default_rng(0)
    for i, name in enumerate(("bright", "dark one")):
        folder = tmp_path / "pictures" / name
        folder.mkdir(parents=True)
        for j in range(10):
            pixels = random.integers(0, 100, (20, 24, 3), dtype=np.uint8) + np.uint8(150 * (1 - i))
            Image.fromarray(pixels).save(folder / f"{j}.png")
    g = nn.Graph("start")
    x = g.add("conv", nn.Conv2d(3, 6, 3), g.input("image", nn.Shape(12, 12, 3)))
    x = g.add("last", nn.Conv2d(6, 4, 1), g.add("relu", nn.ReLU(), x))
    g.output(g.add("softmax", nn.Softmax(), g.add("pool", nn.GlobalAvgPool2d(), x)))
    facegen.save(tmp_path / "start.safetensors", g, initial_weights(g, 0))
    return "pictures"


def test_train_and_use(run: Run, pictures: str) -> None:
    Path(pictures, "bright", "broken.png").write_bytes(b"\x89PNG")
    result = run("train", "classifier", pictures, *SMALL, "-o", "mine.safetensors")
    assert result.code == 0, result.err
    assert "skipped" in result.err and "broken.png" in result.err
    assert "20 pictures of 2 classes, 1 skipped" in result.err
    assert "trains the last layer alone: 20 pictures of 2 classes, below 50 a class" in result.err
    assert "prepared as torchvision does" in result.err
    assert result.out.startswith("mine.safetensors: 4 of 4 held out right (100.0%), best of epoch")
    found = sorted(os.listdir("mine.safetensors.run"))
    assert found == ["confusion.png", "curves.png", "log.jsonl"]

    result = run("classify", "pictures/dark one/3.png", "-n", "mine.safetensors", "--top", "1")
    assert result.code == 0 and result.out.endswith("  1  dark one\n")
    result = run("classify", "pictures/bright/3.png", "-n", "mine.safetensors", "--json", "-")
    shown = json.loads(result.out)["items"][0]["classes"]
    assert [each["name"] for each in shown] == ["bright", "dark one"]
    assert "classes : bright, dark one" in run("inspect", "mine.safetensors").out

    result = run("train", "classifier", pictures, *SMALL, "-o", "mine.safetensors")
    assert result.code == 2 and "mine.safetensors: exists" in result.err
    more = ("--from", "mine.safetensors", "--epochs", "1", "--layers", "all", "--half", "-q")
    assert run("train", "classifier", pictures, *more, "-o", "more.safetensors") == (0, "", "")
    assert run("classify", "pictures/bright/3.png", "-n", "more.safetensors").code == 0
    result = run("train", "classifier", pictures, *SMALL, "-o", "c.safetensors", "--resume")
    assert result.code == 2 and "there is no run to resume" in result.err


def test_wrong_arguments(run: Run, pictures: str) -> None:
    assert run("init", "lenet", "lenet.npz", "-q").code == 0
    Path("one/class").mkdir(parents=True)
    before = sorted(os.listdir())
    for arguments, message in (
        (["missing", *SMALL], "missing: No such file"),
        (["one", *SMALL], "one: expected a folder for each of two or more classes, found 1 folder"),
        ([pictures, "--from", "lenet.npz"], "lenet.npz: holds a lenet network"),
        ([pictures, "--from", "missing"], "missing: No such file"),
        ([pictures, *SMALL, "-o", "a.npz"], "-o a.npz: expected .safetensors"),
        ([pictures, *SMALL, "-o", "no/a.safetensors"], "there is no folder no"),
        ([pictures, *SMALL, "--held-out", "0"], "--held-out"),
        ([pictures, *SMALL, "--layers", "some"], "--layers"),
    ):
        result = run("train", "classifier", *arguments)
        assert result.code == 2 and message in result.err.splitlines()[-1], result.err
        assert "Traceback" not in result.err
    assert sorted(os.listdir()) == before


def test_layers_that_cannot_be_trained(run: Run, pictures: str) -> None:
    """Named, before anything is written; the last layer alone can be."""
    g = nn.Graph("local")
    x = g.add("conv", nn.Conv2d(3, 6, 3), g.input("image", nn.Shape(12, 12, 3)))
    x = g.add("pool", nn.GlobalAvgPool2d(), g.add("norm", nn.LocalResponseNorm(5), x))
    g.output(g.add("fc", nn.Linear(6, 4), x))
    facegen.save("local.safetensors", g, initial_weights(g, 0))
    words = ("--from", "local.safetensors", "--epochs", "1")
    result = run("train", "classifier", pictures, *words, "--layers", "all")
    assert result.code == 2 and "--layers all: " in result.err
    assert "no gradient of LocalResponseNorm" in result.err
    assert not Path("classifier.safetensors.run").exists()
    assert run("train", "classifier", pictures, *words, "--layers", "last", "-q").code == 0
