"""facegen train colorizer."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from command_line import Run
from PIL import Image

from files import pixels

SMALL = ("--width", "1", "--side", "32", "--epochs", "1", "--held-out", "1", "--threads", "2")
SMALL += ("--device", "cpu")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    (folder / "more").mkdir(parents=True)
    for i in range(4):
        where = folder / "more" if i % 2 else folder
        Image.fromarray(pixels(50, 70, seed=i)).save(where / f"{i}.png")
    Image.new("L", (40, 40), 90).save(folder / "grey.png")
    (folder / "broken.jpg").write_bytes(b"no picture")
    return folder


def test_train_and_use(run: Run, photos: Path) -> None:
    result = run("train", "colorizer", photos, *SMALL, "-o", "a.safetensors")
    assert result.code == 0, result.err
    assert "4 photos in colour, 1 grey, 1 unreadable" in result.err
    assert result.err.count("skipped") == 1 and "broken.jpg: not a picture" in result.err
    assert "a.safetensors: a, b off by " in result.out and " on 1 photo held out (" in result.out
    grey = np.full((30, 40), 128, np.uint8)
    Image.fromarray(grey).save("old.png")
    used = run("colorize", "old.png", "-o", "new.png", "-n", "a.safetensors", "--device", "cpu")
    assert used.code == 0, used.err
    with Image.open("new.png") as made:
        assert made.size == (40, 30) and made.mode == "RGB"
    further = ("--from", "a.safetensors", "--side", "32", "--epochs", "1", "-q")
    assert run("train", "colorizer", photos, *further, "-o", "b.safetensors").code == 0


def test_errors_of_folders_apart(run: Run, photos: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    for i in range(4):
        Image.fromarray(pixels(50, 70, seed=9 + i)).save(other / f"{i}.png")
    held_out = ("--held-out", "6", "--temperature", "1", "--uniform", "1", "--zoom", "2")
    result = run("train", "colorizer", photos, other, *SMALL, *held_out, "-o", "a.safetensors")
    assert result.code == 0, result.err
    whole, *apart = [line for line in result.out.splitlines() if " held out (" in line]
    assert whole.startswith("a.safetensors: ") and " on 6 photos" in whole
    names = [line.partition(": a, b off by ")[0] for line in apart]
    counts = [int(line.split(" on ")[1].split()[0]) for line in apart]
    assert names == [str(photos), str(other)] and sum(counts) == 6 and min(counts) >= 2


def test_the_temperature_of_the_packages_own_is_known(run: Run, photos: Path) -> None:
    """Its scores are what they were when its training ended, as their loss tells."""

    def loss(*words: str) -> float:
        further = ("--from", "default", "--side", "32", "--epochs", "1", "--held-out", "1", *words)
        more = ("--learning-rate", "1e-9", "--device", "cpu", "--overwrite", "-q")
        result = run("train", "colorizer", photos, *further, *more, "-o", "a.safetensors")
        assert result.code == 0, result.err
        last = Path("a.safetensors.run/log.jsonl").read_text().splitlines()[-1]
        return float(json.loads(last)["loss"])

    assert loss() == loss("--temperature", "1") != loss("--temperature", "0.38")


def test_wrong_arguments(run: Run, photos: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "grey").mkdir()
    Image.new("L", (40, 40), 90).save("grey/1.png")
    assert run("init", "pix2pix", "pix2pix.npz", "-q").code == 0
    before = sorted(os.listdir())
    for arguments, message in (
        (["empty"], "empty: no pictures there"),
        (["grey"], "expected photos in colour, found 1 grey ones and 0 that cannot be read"),
        (["missing"], "missing: No such file"),
        ([], "PHOTOS"),
        ([photos, "-o", "a.bin", "--width", "8"], "-o a.bin: expected .safetensors or .onnx"),
        ([photos, "--from", "pix2pix.npz"], "pix2pix.npz"),
        ([photos, "--side", "60"], "side: expected a multiple of 8, found 60"),
        ([photos, "--learning-rate", "0"], "--learning-rate"),
        ([photos, "--temperature", "0"], "--temperature"),
        ([photos, "--zoom", "0.5"], "--zoom"),
        ([photos, "--width", "1", "--side", "32", "--held-out", "4"], "fewer than 4"),
        ([photos, "--width", "1", "--side", "32", "--resume"], "there is no run to resume"),
    ):
        result = run("train", "colorizer", *arguments)
        assert result.code == 2 and message in result.err.splitlines()[-1], (arguments, result.err)
        assert sorted(set(os.listdir()) - {"colorizer.safetensors.run"}) == before


def test_help(run: Run) -> None:
    result = run("train", "colorizer", "--help")
    assert result.out.startswith("Usage: facegen train colorizer [OPTIONS] PHOTOS...\n")
    assert "facegen colorize old.jpg -o coloured.png -n mine.safetensors" in result.out
