"""``--device`` of everything that facegen trains."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import click
import numpy as np
import pytest
from command_line import Run, encode_idx
from PIL import Image

import facegen
from facegen import nn
from facegen.cli import training
from facegen.engine.cuda import why_no_cuda
from facegen.train.initial_weights import initial_weights
from facegen.train.segmentation import shapes
from played_gpu import LOST, played_gpu

# The words of each, and what it writes. Data are made by `data`.
TASKS = {
    "digits": "digits images.idx labels.idx --epochs 2 --batch 10 --held-out 10 -o a.npz",
    "faces": "pictures --steps 3 --batch 2 --width 1 --statistics 4 --sample-every 99 -o a.npz",
    "segmentation": (
        "segmentation shapes/pictures shapes/masks --from encoder.safetensors --epochs 2 --batch 1 "
        "-o a.npz"
    ),
    "classifier": (
        "classifier classes --from start.safetensors --layers all --epochs 2 --batch 4 "
        "-o a.safetensors"
    ),
    "pix2pix": "pix2pix pairs --width 1 --epochs 1 --held-out 1 -o a.safetensors",
    "colorizer": (
        "colorizer pictures --width 1 --side 32 --epochs 2 --batch 2 --held-out 1 -o a.safetensors"
    ),
}


def pixels(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


@pytest.fixture
def data(run: Run) -> None:
    Path("images.idx").write_bytes(encode_idx(pixels(40, 28, 28)))
    Path("labels.idx").write_bytes(encode_idx(np.arange(40) % 10))
    for i in range(5):
        for folder, size in (("pictures", (70, 80, 3)), ("pairs", (32, 64, 3))):
            Path(folder).mkdir(exist_ok=True)
            Image.fromarray(pixels(*size, seed=i)).save(f"{folder}/{i}.png")
        for name in ("bright", "dark"):
            folder = Path("classes", name)
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels(20, 24, 3, seed=i) // (1 + (name == "dark"))).save(
                folder / f"{i}.png"
            )
    shapes.write(Path("shapes"), 3, seed=0)
    assert run("init", "squeezenet", "encoder.safetensors", "-q").code == 0
    g = nn.Graph("start")
    x = g.add("conv", nn.Conv2d(3, 6, 3), g.input("image", nn.Shape(12, 12, 3)))
    x = g.add("last", nn.Conv2d(6, 4, 1), g.add("relu", nn.ReLU(), x))
    g.output(g.add("softmax", nn.Softmax(), g.add("pool", nn.GlobalAvgPool2d(), x)))
    facegen.save("start.safetensors", g, initial_weights(g, 0))


def words(task: str, output: str, *more: str) -> Sequence[str]:
    """The command line, with another output."""
    *most, name = TASKS[task].split()
    return ["train", *most, output + Path(name).suffix, "--threads", "1", *more]


def made(output: str) -> bytes:
    (path,) = Path().glob(f"{output}.[ns]*[!n]")
    return path.read_bytes()


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.usefixtures("data")
def test_what_trains_is_said_first(run: Run, task: str) -> None:
    """And a GPU that computes as the CPU gives the CPU's file."""
    result = run(*words(task, "cpu", "--device", "cpu"))
    assert result.code == 0 and result.err.startswith("trains on the CPU\n"), result.err
    with played_gpu() as gpu:
        result = run(*words(task, "auto"))  # as where nothing is said
        assert result.code == 0, result.err
        assert result.err.startswith("trains on cuda:0, played GPU 0\n")
        assert gpu.steps and gpu.programs
    assert made("auto") == made("cpu")


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.usefixtures("data")
def test_a_gpu_is_lost(run: Run, task: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line and exit code 1; the checkpoint is there, from where --resume goes on."""
    # Calls of a GPU: of faces the first step, with its penalties, has more than the second.
    lost_at = {"faces": 8, "pix2pix": 4}.get(task, 2)
    monkeypatch.setattr(training, "reports", partial(training.reports, save_seconds=0.0))
    with played_gpu(lost_at):
        result = run(*words(task, "a", "--device", "cuda"))
    assert result.code == 1 and "Traceback" not in result.err
    assert result.err.splitlines()[-1] == (
        f"facegen: error: {LOST}; the state of step 2 is kept; --resume goes on from there"
    )
    assert not list(Path().glob("a.[ns]*[!n]")), "nothing is made of half a run"
    on_cpu = ("--device", "cpu")
    result = run(*words(task, "a", "--resume", *on_cpu))
    assert result.code == 0, result.err
    assert run(*words(task, "b", *on_cpu)).code == 0
    assert made("a") == made("b")


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.usefixtures("data")
def test_devices_that_are_not_there(run: Run, task: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Said in one line, and nothing is written, whether a run is begun or gone on with."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    before = sorted(os.listdir())
    for device, message in (
        ("cuda", f"device 'cuda': {why_no_cuda()}"),
        ("cuda:1", "device 'cuda:1': "),
        ("gpu", "not 'gpu'"),
    ):
        for more in ((), ("--resume",)):
            result = run(*words(task, "a", "--device", device, *more))
            assert result.code == 2 and result.out == ""
            (line,) = result.err.splitlines()
            assert message in line
    with played_gpu(gpus=2):
        result = run(*words(task, "a", "--device", "cuda:0,1"))
    assert result.code == 2
    assert result.err == "facegen: error: training takes one GPU, not cuda:0,1\n"
    assert sorted(os.listdir()) == before


@pytest.mark.parametrize("device", ["cuda", "cuda:1"])
def test_asynchronous_ranks_have_no_other_device(device: str) -> None:
    ranks: Any = SimpleNamespace(rank=0, asynchronous=True, require_messages=lambda: None)
    for choose in (training.choose_device, partial(training.choose_backend, "native")):
        assert choose("cpu", ranks) == choose("auto", ranks) == "cpu"
        with pytest.raises(click.UsageError, match=f"--device {device}: --sync async trains"):
            choose(device, ranks)


def test_where_nothing_is_said_ranks_of_mpi_train_on_the_cpu() -> None:
    """Without NCCL, and with fewer GPUs than ranks; those that MPI does not connect cannot."""
    by_messages, of_gpus = (
        SimpleNamespace(rank=0, asynchronous=False, by_messages=by, require_messages=lambda: None)
        for by in (True, False)
    )
    with played_gpu():
        assert training.choose_device("auto", cast(Any, by_messages)) == "cpu"
        assert training.choose_device("auto", cast(Any, of_gpus)) == "cuda:0"
        assert training.choose_device("cuda", cast(Any, by_messages)) == "cuda:0"


@pytest.mark.cuda
@pytest.mark.parametrize("task", TASKS)
@pytest.mark.usefixtures("data")
def test_train_on_a_gpu(run: Run, task: str) -> None:
    """A run has the same bits twice."""
    for name in ("a", "b"):
        result = run(*words(task, name, "--device", "cuda"))
        assert result.code == 0, result.err
        assert result.err.startswith("trains on cuda:0, ")
    assert made("a") == made("b")
