"""facegen train digits."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import numpy as np
import pytest
from command_line import Run, encode_idx, start

SMALL = ("--epochs", "1", "--batch", "10", "--held-out", "10", "--threads", "2")
SMALL += ("--device", "cpu")


@pytest.fixture
def data(tmp_path: Path) -> tuple[Path, Path]:
    random = np.random.default_rng(0)
    images, labels = tmp_path / "images.idx", tmp_path / "labels.idx"
    images.write_bytes(encode_idx(random.integers(0, 256, (40, 28, 28), dtype=np.uint8)))
    labels.write_bytes(encode_idx(random.integers(0, 10, 40, dtype=np.uint8)))
    return images, labels


def test_train_and_use(run: Run, data: tuple[Path, Path]) -> None:
    result = run("train", "digits", *data, *SMALL, "-o", "a.safetensors", "--half")
    assert result.code == 0 and "step 3, epoch 1, loss 2." in result.err
    assert "a.safetensors: " in result.out and " of 10 held out right (" in result.out
    assert Path("a.safetensors").stat().st_size < 650_000
    assert run("digits", data[0], "-n", "a.safetensors").code == 0
    result = run("train", "digits", *data, *SMALL, "-o", "a.safetensors")
    assert result.code == 2 and "a.safetensors: exists" in result.err
    assert run("train", "digits", *data, *SMALL, "-o", "b.npz", "-q") == (0, "", "")
    assert os.listdir("b.npz.run") == ["log.jsonl"]
    result = run("train", "digits", *data, *SMALL, "-o", "c.npz", "--resume")
    assert result.code == 2 and "c.npz.run/checkpoint.safetensors: there is no run" in result.err


def test_ctrl_c_and_resume(run: Run, data: tuple[Path, Path], tmp_path: Path) -> None:
    words = ["train", "digits", *data, *SMALL, "--epochs", "30", "--batch", "1", "-o"]  # 900 steps
    child = start([*words, "a.npz"], tmp_path)
    assert child.stderr is not None
    for line in child.stderr:
        if line.startswith(b"step 100,"):
            child.send_signal(signal.SIGINT)
            break
    said = child.stderr.read().decode()
    assert child.wait() == 130 and said.splitlines()[-1] == "facegen: interrupted"
    assert "a.npz.run/checkpoint.safetensors has the state after step" in said
    assert not Path("a.npz").exists()
    again = run(*words, "a.npz")
    assert again.code == 2 and "--resume goes on from there" in again.err
    for name, more in (("a.npz", ["--resume"]), ("b.npz", [])):
        done = run(*words, name, *more)
        assert done.code == 0, done.err
    assert Path("a.npz").read_bytes() == Path("b.npz").read_bytes()
    assert os.listdir("a.npz.run") == ["log.jsonl"]


def test_wrong_arguments(run: Run, data: tuple[Path, Path]) -> None:
    images, labels = data
    for arguments, message in (
        ([images, "missing"], "missing: No such file"),
        ([labels, images], "images.idx: expected 1 dimensions at byte 3, found 3"),
        ([images, labels, "-o", "a.bin"], "-o a.bin: expected .safetensors"),
        ([images, labels, "-o", "a.npz", "--half"], "without --half .npz"),
        ([images, labels, "-o", "no/a.npz"], "no/a.npz: there is no folder no"),
        ([images, labels, "--learning-rate", "nan"], "not a finite number"),
        ([images, labels, "--threads", "0"], "--threads"),
        ([images, labels, "-o", "a.npz", "--folder", "./a.npz"], "--folder ./a.npz: the output"),
        ([images, labels, "--learning-rate", "0"], "--learning-rate"),
        ([images, labels, "--held-out", "40"], "expected at least 1 and fewer than 40"),
        ([images], "LABELS.idx"),
    ):
        result = run("train", "digits", *arguments)
        assert result.code == 2 and message in result.err.splitlines()[-1]
    assert sorted(os.listdir()) == ["images.idx", "labels.idx"]


def test_help_of_both_forms(run: Run) -> None:
    own, faces = run("train", "digits", "--help"), run("train", "--help")
    assert own.code == faces.code == 0
    assert own.out.startswith("Usage: facegen train digits [OPTIONS] IMAGES.idx LABELS.idx\n")
    assert faces.out.startswith("Usage: facegen train [OPTIONS] FOLDER|FILE.npy\n")
