"""facegen train."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import numpy as np
import pytest
from command_line import Run
from PIL import Image

from facegen.cli import train as cli_train

needs_torch = pytest.mark.skipif(
    importlib.util.find_spec("torch") is None, reason="PyTorch (extra [train]) is not installed"
)
SMALL = (
    *("--steps", "2", "--batch", "2", "--width", "1", "--statistics", "4"),
    *("--device", "cpu", "--sample-every", "99"),
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    random = np.random.default_rng(0)
    for i in range(3):
        pixels = random.integers(0, 256, (70, 80, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{i}.png")
    (folder / "broken.png").write_bytes(b"\x89PNG")
    return folder


@needs_torch
def test_train_resume_and_use(run: Run, folder: Path) -> None:
    result = run("train", folder, *SMALL, "-o", "a.bin")
    assert result.code == 0 and result.out == ""
    assert "3 pictures, 1 skipped, on cpu" in result.err and "broken.png" in result.err
    assert "a.bin: trained 2 steps, agrees with the engine" in result.err
    assert run("generate", "-n", "a.bin", "-s", "0", "-o", "a.png").code == 0
    again = run("train", folder, *SMALL, "-o", "b.bin", "--folder", "a.bin.run", "--resume", "-q")
    assert again == (0, "", "")
    assert Path("a.bin").read_bytes() == Path("b.bin").read_bytes()
    assert run("train", folder, *SMALL, "-o", "a.bin").code == 2
    result = run("train", folder, *SMALL, "-o", "a.bin", "--overwrite")
    assert result.code == 2 and "--resume goes on" in result.err


@needs_torch
def test_wrong_arguments(run: Run, folder: Path) -> None:
    for arguments, message in (
        (["missing"], "missing: No such file"),
        ([folder, "-o", "a.png"], "a.png: extension '.png' is no format of weights"),
        ([folder, "-o", "none/a.bin"], "none/a.bin: there is no folder none"),
        ([folder, "--freeze", "2"], "--freeze keeps weights of --init"),
        ([folder, "--freeze", "5"], "--freeze"),
        ([folder, "--device", "tpu"], "device 'tpu'"),
        ([folder, "--init", "missing.bin"], "missing.bin: No such file"),
        ([folder, "--resume", *SMALL], "no run to resume"),
    ):
        result = run("train", *arguments)
        assert result.code == 2 and message in result.err.splitlines()[-1]
    assert os.listdir() == ["pictures"]


def test_without_torch(run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli_train, "find_spec", lambda name: None)
    result = run("train", folder)
    assert result.code == 2 and "pip install 'torch>=" in result.err
