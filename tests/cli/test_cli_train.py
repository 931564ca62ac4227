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
    importlib.util.find_spec("torch") is None, reason="PyTorch (extra [torch]) is not installed"
)
SMALL = (
    *("--steps", "2", "--batch", "2", "--width", "1", "--statistics", "4", "--threads", "1"),
    *("--sample-every", "99"),
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


@pytest.mark.parametrize("backend", ["native", pytest.param("torch", marks=needs_torch)])
def test_train_and_use(run: Run, folder: Path, backend: str) -> None:
    choices = (*SMALL, "--backend", backend, "--device", "cpu")
    result = run("train", folder, *choices, "-o", "a.bin")
    assert result.code == 0 and result.out == "", result.err
    where = "the CPU" if backend == "native" else "cpu, by PyTorch"
    assert result.err.startswith(f"trains on {where}\n")
    assert "3 pictures, 1 skipped\n" in result.err and "broken.png" in result.err
    assert "a.bin: trained 2 steps" in result.err
    assert "facegen generate -n a.bin" in result.err.splitlines()[-1]
    left = {"log.jsonl", "log.png", "samples-000002.png"}
    left |= {"discriminator.safetensors"} if backend == "native" else set()
    assert set(os.listdir("a.bin.run")) == left
    assert run("generate", "-n", "a.bin", "-s", "0", "-o", "a.png").code == 0
    assert run("train", folder, *choices, "-o", "a.bin").code == 2
    assert run("train", folder, *choices, "-o", "a.bin", "--overwrite", "-q") == (0, "", "")


def test_resume(run: Run, folder: Path) -> None:
    """A network that cannot be written leaves the checkpoint, from where nothing is left to do."""
    assert run("train", folder, *SMALL, "-o", "a.bin", "-q") == (0, "", "")
    Path("b.bin.run").mkdir()
    result = run("train", folder, *SMALL, "-o", "b.bin", "--resume")
    assert result.code == 2 and "no run to resume" in result.err


def test_wrong_arguments(run: Run, folder: Path) -> None:
    for arguments, message in (
        (["missing"], "missing: No such file"),
        ([folder, "-o", "a.png"], "a.png: extension '.png' is no format of weights"),
        ([folder, "-o", "none/a.bin"], "none/a.bin: there is no folder none"),
        ([folder, "--freeze", "2"], "--freeze keeps weights of --from"),
        ([folder, "--freeze", "5"], "--freeze"),
        ([folder, "--device", "gpu"], "not 'gpu'"),
        ([folder, "--from", "missing.bin"], "missing.bin: No such file"),
        ([folder, "--resume", *SMALL], "no run to resume"),
        ([folder, "--size", "96"], "'96' is not one of '64', '128'"),
        ([folder, "--size", "128", "-o", "a.bin"], "a.bin: dcgan128 is written as .safetensors"),
        ([folder, "--size", "128", "--from", "default", "-o", "a.npz"], "expected a dcgan128"),
        ([folder, "--minutes", "1", "--steps", "2"], "by itself, not with --steps"),
        ([folder, "--width", "100000"], "training dcgan and discriminator with 64 images"),
        ([folder, "--batch", "100000000"], "with 100,000,000 images a step"),
    ):
        result = run("train", *arguments)
        assert result.code == 2 and message in result.err.splitlines()[-1], result.err
    assert os.listdir() == ["pictures"]


def test_minutes(run: Run, folder: Path) -> None:
    """The pace of some steps tells how many there are, which a run that goes on has from before."""
    choices = ["--batch", "2", "--width", "1", "--statistics", "4", "--measured", "2"]
    result = run("train", folder, *choices, "--minutes", "1e-6", "-o", "a.bin")
    assert result.code == 0 and "1e-06 minutes are 1 step\n" in result.err, result.err
    assert Path("a.bin.run/steps.txt").read_text() == "1\n"
    Path("a.bin.run/steps.txt").write_text("many")
    result = run("train", folder, *choices, "--minutes", "1", "-o", "b.bin", "--resume",
                 "--folder", "a.bin.run")  # fmt: skip
    assert result.code == 2 and "expected a number of steps, found 'many'" in result.err


def test_tasks_are_found(run: Run) -> None:
    """By the help, and where they are spelled nearly right."""
    text = run("train", "--help").out
    assert all(f"{task}`" in text for task in cli_train.TASKS)
    for words, message in (
        (["clasifier", "x"], "clasifier: no such folder; did you mean facegen train classifier?"),
        (["faces", "x"], "faces are trained by facegen train FOLDER"),
    ):
        result = run("train", *words)
        assert result.code == 2 and message in result.err


@needs_torch
def test_wrong_devices(run: Run, folder: Path) -> None:
    result = run("train", folder, "--backend", "torch", "--device", "tpu")
    assert result.code == 2 and "device 'tpu'" in result.err.splitlines()[-1]


def test_without_torch(run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli_train, "find_spec", lambda name: None)
    result = run("train", folder, "--backend", "torch")
    assert result.code == 2 and "pip install 'torch>=" in result.err


def test_a_run_goes_on_from_both_networks_of_another(run: Run, folder: Path) -> None:
    assert run("train", folder, *SMALL, "-o", "a.bin", "-q") == (0, "", "")
    judge = Path("a.bin.run/discriminator.safetensors")
    start = ("--from", "a.bin", "--discriminator", judge)
    assert run("train", folder, *SMALL, *start, "-o", "b.bin", "-q") == (0, "", "")
    assert run("train", folder, *SMALL, *start[:2], "-o", "c.bin", "-q") == (0, "", "")
    assert Path("b.bin").read_bytes() != Path("c.bin").read_bytes()
    result = run("train", folder, *SMALL, *start, "--width", "3", "-o", "d.bin")
    assert result.code == 2 and "expected a discriminator of --width 3 for 64x64" in result.err
    result = run("train", folder, *SMALL, "--discriminator", "a.bin", "-o", "d.bin")
    assert result.code == 2 and result.err.splitlines()[-1].startswith("facegen: error: a.bin")
    assert not Path("d.bin.run/log.jsonl").exists()


def test_options_that_are_not_there(run: Run, folder: Path) -> None:
    """A precision of the device, and what another trainer lacks."""
    result = run("train", folder, "--precision", "float16", "--device", "cpu")
    assert result.code == 2 and "precision 'float16' needs a GPU" in result.err
    for option, value in (("--precision", "float32"), ("--discriminator", "a.safetensors")):
        result = run("train", folder, option, value, "--backend", "torch")
        own = f"{option} is of facegen's own kernels, not of --backend torch"
        assert result.code == 2 and own in result.err
