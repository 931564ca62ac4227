"""facegen project."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from command_line import Run
from PIL import Image

from facegen.train.faces import projection


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(projection, "_TRIED", 4)


def picture(path: str) -> str:
    pixels = np.random.default_rng(0).integers(0, 256, (80, 70, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def test_project(run: Run, network_bin: Path) -> None:
    names = [picture("a.png"), picture("b.png")]
    choices = ["--steps", "1", "--restarts", "1", "--threads", "1", "-n", network_bin]
    result = run("project", *names, *choices, "-o", "z.npy", "--picture", "beside.png")
    assert result.code == 0, result.err
    assert "a.png: off by " in result.out and "z.npy: 2 latent vectors" in result.out
    z = np.load("z.npy")
    assert z.shape == (2, 100) and z.dtype == np.float32 and np.abs(z).max() <= 1
    assert Image.open("beside.png").size == (128, 128)
    assert run("project", *names, *choices, "-o", "z.npy").code == 2
    assert run("generate", "-n", network_bin, "--latents", "z.npy", "-o", "c.png").code == 0
    shown = np.asarray(Image.open("beside.png"))[64:]
    np.testing.assert_array_equal(np.asarray(Image.open("c.png"))[:64], shown)


def test_wrong_arguments(run: Run, network_bin: Path) -> None:
    name = picture("a.png")
    for arguments, message in (
        ([], "Missing argument"),
        (["missing.png", "-o", "z.npy"], "missing.png: No such file"),
        ([name, "-o", "z.npy", "--picture", "b.what"], ".what"),
        ([name, "-o", name], "a.png"),
        ([name, "-o", "z.npy", "--device", "tpu"], "tpu"),
    ):
        result = run("project", *arguments, "-n", network_bin)
        assert result.code == 2 and message in result.err.splitlines()[-1], result.err
    assert os.listdir() == ["a.png"]
