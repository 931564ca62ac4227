"""facegen train pix2pix."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from command_line import Run
from PIL import Image

SMALL = ("--width", "1", "--epochs", "1", "--held-out", "1", "--threads", "2", "--device", "cpu")


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    folder = tmp_path / "pairs"
    folder.mkdir()
    random = np.random.default_rng(0)
    for i in range(4):
        pixels = random.integers(0, 256, (32, 64, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{i}.png")
    return folder


def test_train_and_use(run: Run, pairs: Path) -> None:
    (pairs / "broken.png").write_bytes(b"no picture")
    result = run("train", "pix2pix", pairs, *SMALL, "-o", "a.safetensors", "--sample-every", "2")
    assert result.code == 0, result.err
    assert "a.safetensors: off by " in result.out and " of 255 on 1 pair held out (" in result.out
    assert "step 4, " in result.err and "l1 " in result.err and "discriminator " in result.err
    assert result.err.count("skipped") == 1 and "broken.png: not a picture" in result.err
    listed = sorted(os.listdir("a.safetensors.run"))
    assert listed == ["log.jsonl", "samples-000002.png", "samples-000004.png"]
    Image.new("RGB", (90, 50), "white").save("drawing.png")
    used = run("pix2pix", "drawing.png", "-o", "made.png", "-n", "a.safetensors", "--device", "cpu")
    assert used.code == 0, used.err
    with Image.open("made.png") as made:
        assert made.size == (256, 256)
    further = ("--from", "a.safetensors", "--epochs", "1", "--direction", "BtoA", "-q")
    assert run("train", "pix2pix", pairs, *further, "-o", "b.safetensors").code == 0
    assert "pix2pix" in run("inspect", "b.safetensors").out


def test_folders_a_and_b(run: Run, tmp_path: Path) -> None:
    for name in ("A/1.png", "A/2.png", "A/3.png", "B/1.png", "B/2.png", "B/4.png"):
        path = tmp_path / "both" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (30, 40), "red").save(path)
    result = run("train", "pix2pix", "both", *SMALL, "-o", "a.safetensors")
    assert result.code == 0, result.err
    assert "skipped both/A/3.png: there is no 3 in both/B" in result.err
    assert "skipped both/B/4.png: there is no 4 in both/A" in result.err


def test_wrong_arguments(run: Run, pairs: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    Path("digits.txt").write_text("no network")
    assert run("init", "lenet", "lenet.safetensors", "-q").code == 0
    before = sorted(os.listdir())
    for arguments, message in (
        (["empty"], "empty: expected pictures side by side, or folders A and B"),
        (["missing"], "missing: No such file"),
        ([pairs, "-o", "a.bin", "--width", "8"], "-o a.bin: expected .safetensors or .onnx"),
        ([pairs, "-o", "a.onnx", "--width", "8", "--half"], "without --half .onnx"),
        ([pairs, "-o", "a.jpg"], "-o a.jpg: expected .bin"),
        ([pairs, "-o", "no/a.safetensors"], "there is no folder no"),
        ([pairs, "--from", "lenet.safetensors"], "lenet"),
        ([pairs, "--from", "digits.txt"], "digits.txt: found 10 bytes"),
        ([pairs, "--side", "300"], "side: expected a multiple of 256, found 300"),
        ([pairs, "--learning-rate", "nan"], "not a finite number"),
        ([pairs, "--dropout", "1"], "--dropout"),
        ([pairs, "--direction", "up"], "--direction"),
        ([pairs, "--width", "0"], "--width"),
        ([pairs, "--width", "1", "--held-out", "4"], "expected at least 1 and fewer than 4"),
        ([pairs, "--width", "1", "--resume"], "there is no run to resume"),
    ):
        result = run("train", "pix2pix", *arguments)
        assert result.code == 2 and message in result.err.splitlines()[-1], (arguments, result.err)
        assert sorted(set(os.listdir()) - {"pix2pix.safetensors.run"}) == before


def test_a_checkpoint_of_another_network(run: Run, pairs: Path) -> None:
    """Of this command, but another width."""
    Path("run").mkdir()
    wide = ("--width", "2", "--epochs", "1", "--held-out", "1")
    command = ("train", "pix2pix", pairs, "--folder", "run", "-q")
    assert run(*command, *SMALL, "-o", "a.safetensors").code == 0
    assert not Path("run/checkpoint.safetensors").exists()
    Path("run/checkpoint.safetensors").write_bytes(b"damaged")
    result = run(*command, *wide, "-o", "b.safetensors", "--resume")
    assert result.code == 2 and "run/checkpoint.safetensors: " in result.err
    assert not Path("b.safetensors").exists()


def test_help(run: Run) -> None:
    result = run("train", "pix2pix", "--help")
    assert result.out.startswith("Usage: facegen train pix2pix [OPTIONS] PAIRS\n")
    assert "facegen train pix2pix facades/train -o facades.bin --direction BtoA" in result.out
