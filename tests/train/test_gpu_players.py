"""Networks that play against each other on several GPUs, or in shares: the bits of one."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from games import maker
from test_gpu_ranks import assert_alike, need, state_of
from test_ranks import write_task
from test_train_classifier import colours, save

from facegen import train
from parallel.launchers import run_as_torchrun, run_ranks

JOB = Path(__file__).parent / "players_job.py"
NATIVE = Path(__file__).parents[1] / "native"
pytestmark = pytest.mark.cuda


def play(
    ranks: int, images: int, mode: str, folder: Path, shares: int
) -> subprocess.CompletedProcess[str]:
    command = [JOB, images, mode, folder / "state.npz", "cuda", shares]
    return run_ranks("launch", ranks, command, folder)


@pytest.mark.parametrize("gpus", [2, 4])
def test_two_players_have_the_bits_of_one_gpu(tmp_path: Path, gpus: int) -> None:
    """What one makes and the other takes, and gradients in inputs, are whole on every rank."""
    need(gpus)
    states = []
    for ranks in (1, gpus):
        result = play(ranks, 16, "plain", tmp_path, shares=gpus)
        assert_alike(result, ranks)
        states.append(state_of(tmp_path))
    for name, array in states[0].items():
        assert states[1][name].tobytes() == array.tobytes(), name


def test_players_whose_parts_differ_are_near_one(tmp_path: Path) -> None:
    need(2)
    states = []
    for ranks in (1, 2, 2):
        result = play(ranks, 13, "plain", tmp_path, shares=1)
        assert result.returncode == 0, result.stderr
        assert len(set(re.findall("[0-9a-f]{64}", result.stdout))) == 1
        states.append(state_of(tmp_path))
    one, two, again = states
    for name, array in two.items():
        assert array.shape == one[name].shape and again[name].tobytes() == array.tobytes(), name
    for name in ("picture", "losses of generator", "losses of pictures"):
        np.testing.assert_allclose(two[name], one[name], rtol=1e-2, atol=1e-3)


@pytest.mark.parametrize("shares", [1, 2])
def test_players_of_a_rank_of_one(tmp_path: Path, shares: int) -> None:
    """NCCL, which one GPU has too: the bits of a process without."""
    need(1)
    states = []
    for mode in ("plain", "alone"):
        result = play(1, 16, mode, tmp_path, shares)
        if "takes NCCL" in result.stderr:
            pytest.skip("no NCCL")
        assert result.returncode == 0, result.stderr
        states.append(state_of(tmp_path))
    for name, array in states[0].items():
        assert states[1][name].tobytes() == array.tobytes(), name


@pytest.mark.parametrize(("gpus", "shares"), [(1, 1), (1, 2), (2, 1), (2, 2)])
def test_a_kept_value_that_is_not_finite_ends_all(tmp_path: Path, gpus: int, shares: int) -> None:
    """It is of an image that one rank alone computes, whose losses and gradients are finite."""
    need(gpus)
    result = play(gpus, 8, "large", tmp_path, shares)
    assert result.returncode != 0
    said = r"step 2 of ends: the result of large \(step \d+\) for image 5 is not finite"
    assert len(re.findall(said, result.stderr)) == 1, result.stderr
    assert not (tmp_path / "state.npz").exists()


@pytest.fixture(scope="module")
def fake_nccl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library whose ranks share a GPU: as it was built, else by nvcc."""
    built = sorted(NATIVE.parents[1].glob("build/*/tests/native/libfake_nccl.so"))
    if built:
        return built[-1]
    if shutil.which("nvcc") is None:
        pytest.skip("no fake of NCCL, and no nvcc to build it")
    library = tmp_path_factory.mktemp("nccl") / "libfake_nccl.so"
    words = ["nvcc", "-std=c++17", "-arch=native", "-shared", "-Xcompiler", "-fPIC", "-lrt"]
    subprocess.run([*words, "-o", library, NATIVE / "fake_nccl.cu"], check=True)
    return library


def play_on_one(
    ranks: int, images: int, mode: str, folder: Path, shares: int, library: Path
) -> subprocess.CompletedProcess[str]:
    """Ranks that have one GPU in turns."""
    command = [JOB, images, mode, folder / "state.npz", "cuda:0", shares]
    return run_as_torchrun(ranks, command, folder, {"FAKE_NCCL": str(library)})


@pytest.mark.parametrize("ranks", [2, 4])
def test_two_players_of_ranks_that_share_a_gpu(
    tmp_path: Path, fake_nccl: Path, ranks: int
) -> None:
    result = play(1, 16, "plain", tmp_path, ranks)
    assert result.returncode == 0, result.stderr
    one, digests = state_of(tmp_path), re.findall("[0-9a-f]{64}", result.stdout)
    result = play_on_one(ranks, 16, "plain", tmp_path, ranks, fake_nccl)
    assert result.returncode == 0, result.stderr
    several = state_of(tmp_path)
    for name, array in one.items():
        assert several[name].tobytes() == array.tobytes(), name
    assert re.findall("[0-9a-f]{64}", result.stdout) == digests * ranks


@pytest.mark.parametrize(("ranks", "images"), [(2, 13), (3, 16)])
def test_players_of_ranks_whose_parts_differ(
    tmp_path: Path, fake_nccl: Path, ranks: int, images: int
) -> None:
    """What each has is sent to where it belongs: that of all ranks is the same."""
    result = play_on_one(ranks, images, "plain", tmp_path, 1, fake_nccl)
    assert result.returncode == 0, result.stderr
    digests = re.findall("[0-9a-f]{64}", result.stdout)
    assert len(digests) == ranks and len(set(digests)) == 1
    several = state_of(tmp_path)
    assert play(1, images, "plain", tmp_path, 1).returncode == 0
    one = state_of(tmp_path)
    for name in ("picture", "losses of generator", "losses of pictures"):
        np.testing.assert_allclose(several[name], one[name], rtol=1e-2, atol=1e-3)


@pytest.mark.parametrize("shares", [1, 2])
def test_ranks_that_share_a_gpu_end_alike(tmp_path: Path, fake_nccl: Path, shares: int) -> None:
    result = play_on_one(2, 8, "large", tmp_path, shares, fake_nccl)
    assert result.returncode != 0
    assert result.stderr.count("step 2 of ends: the result of large ") == 1, result.stderr


@pytest.mark.parametrize("task", ["faces", "pix2pix"])
def test_players_of_a_command_write_the_file_of_one_gpu(tmp_path: Path, task: str) -> None:
    """Of faces with augmentation, and a step with penalties."""
    need(2)
    if task == "faces":
        save(tmp_path / "pictures", colours(20))
        words: list[object] = ["pictures", "--steps", 2, "--batch", 16, "--statistics", 4]
        words += ["--augment", "small", "--width", 4]
        extension = "npz"
    else:
        words, extension = [*write_task(task, tmp_path), "--epochs", 2], "safetensors"
    words = ["-m", "facegen", "train", task, *words, "--device", "cuda", "--shares", 2, "-o"]
    files = []
    for ranks in (1, 2):
        result = run_ranks("launch", ranks, [*words, f"{ranks}.{extension}"], tmp_path)
        assert result.returncode == 0, result.stderr
        files.append((tmp_path / f"{ranks}.{extension}").read_bytes())
    assert files[0] == files[1]


@pytest.mark.parametrize("shares", [2, 4])
def test_what_is_kept_of_shares_is_near_the_whole(shares: int) -> None:
    """Values and gradients in inputs, of equal weights; with the same bits every time."""
    x = np.random.default_rng(0).standard_normal((16, 1, 1, 8)).astype(np.float32)
    found = []
    for count in (1, shares, shares):
        trainer = train.Trainer(
            maker(), "l2", train.SGD(rate=0.01), seed=1, inputs=["z"], outputs=["picture"],
            shares=count, device="cuda",
        )  # fmt: skip
        _, gradients = trainer.gradients(x, 0.5)
        later = trainer.gradients(x, 0.5, on_device=True, wait=False)[1]["z"]
        there = trainer.output("picture", on_device=True)
        made = trainer.output("picture")
        trainer.wait()
        assert np.asarray(later).tobytes() == gradients["z"].tobytes()
        assert np.asarray(there).tobytes() == made.tobytes()
        found.append((made, gradients["z"]))
    for one, other, again in zip(*found, strict=True):
        scale = np.abs(one).max()
        np.testing.assert_allclose(other, one, rtol=0, atol=1e-3 * scale)
        assert other.tobytes() == again.tobytes()
