"""Ranks that share batches: the bits of one process, and what is left when one of them ends."""

from __future__ import annotations

import re
import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from test_train_classifier import colours, save, small

from facegen.loading import write_graph
from facegen.networks import squeezenet
from facegen.train.ranks import Ranks
from facegen.train.segmentation import shapes
from facegen.weights import safetensors
from parallel.launchers import WHY_NO_MPI, run_ranks

JOB = Path(__file__).parent / "ranks_job.py"
pytestmark = pytest.mark.skipif(bool(WHY_NO_MPI), reason=WHY_NO_MPI)


def run(
    ranks: int, network: str, images: int, mode: str, folder: Path
) -> subprocess.CompletedProcess[str]:
    command = [JOB, network, images, mode, folder / "state.npz"]
    return run_ranks("mpirun", ranks, command, folder)


def state_of(folder: Path) -> dict[str, np.ndarray]:
    return dict(np.load(folder / "state.npz"))


@pytest.mark.parametrize("network", ["lenet", "discriminator"])
def test_any_number_of_ranks_gives_the_same_bits(tmp_path: Path, network: str) -> None:
    states, images = [], 43  # chunks of 8 and a rest, of which ranks get parts that differ
    for ranks in (1, 2, 3, 4):
        result = run(ranks, network, images, "plain", tmp_path)
        assert result.returncode == 0, result.stderr
        digests = re.findall("[0-9a-f]{64}", result.stdout)
        assert len(digests) == ranks and len(set(digests)) == 1
        states.append(state_of(tmp_path))
    assert np.isfinite(states[0]["losses"]).all() and len(states[0]["losses"]) == images
    for other in states[1:]:
        for name, array in states[0].items():
            assert other[name].tobytes() == array.tobytes(), name


def test_more_ranks_than_chunks(tmp_path: Path) -> None:
    """Those that have no images keep up with the others."""
    digests = set()
    for ranks in (1, 3):
        result = run(ranks, "discriminator", 10, "plain", tmp_path)
        assert result.returncode == 0, result.stderr
        digests |= set(re.findall("[0-9a-f]{64}", result.stdout))
    assert len(digests) == 1


def test_all_hear_where_a_number_is_not_finite(tmp_path: Path) -> None:
    result = run(3, "discriminator", 32, "nan", tmp_path)
    assert result.returncode != 0
    said = "step 2 of discriminator: input 0 has a number that is not finite, in image 5"
    assert result.stderr.count(said) == 1 and not (tmp_path / "state.npz").exists()


@pytest.mark.parametrize("mode", ["fail 1", "kill 1"])
def test_a_rank_that_ends_ends_the_run_and_fewer_go_on(tmp_path: Path, mode: str) -> None:
    whole = run(1, "lenet", 32, "plain", tmp_path)
    expected = state_of(tmp_path)
    (tmp_path / "state.npz").unlink()
    result = run(3, "lenet", 32, mode, tmp_path)
    assert whole.returncode == 0 and result.returncode != 0
    if mode == "fail 1":
        assert result.stderr.count("facegen: error: rank 1: the disk is full\n") == 1
    assert "Traceback" not in result.stderr or mode == "fail 1"
    result = run(2, "lenet", 32, "resume", tmp_path)
    assert result.returncode == 0, result.stderr
    for name, array in state_of(tmp_path).items():
        assert array.tobytes() == expected[name].tobytes(), name


def facegen(ranks: int, folder: Path, *words: object) -> subprocess.CompletedProcess[str]:
    command = ["-m", "facegen", "train", *words, "--threads", 1, "--device", "cpu"]
    return run_ranks("mpirun", ranks, command, folder)


def write_task(task: str, folder: Path) -> list[object]:
    """Files to train on, and the words that name them."""
    if task == "digits":
        images, labels = np.zeros((64, 28, 28), np.uint8), np.arange(64, dtype=np.uint8) % 10
        images[np.arange(64), 4 + 2 * labels] = 255
        for name, array in (("images", images), ("labels", labels)):
            head = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
            (folder / name).write_bytes(head + array.tobytes())
        return ["images", "labels", "--held-out", 14, "--batch", 25]
    if task == "classifier":
        save(folder / "pictures", colours(60))
        write_graph(folder / "small.safetensors", small())
        words: list[object] = ["pictures", "--from", "small.safetensors", "--layers", "all"]
        return [*words, "--batch", 20]
    if task == "pix2pix":
        (folder / "pairs").mkdir()
        for i, pixels in enumerate(colours(18).pixels):
            Image.fromarray(np.tile(pixels, (1, 2, 1))).save(folder / "pairs" / f"{i}.png")
        return ["pairs", "--batch", 16, "--width", 1, "--held-out", 1]
    if task == "colorizer":
        save(folder / "photos", colours(17))
        return ["photos", "--batch", 16, "--width", 1, "--side", 32, "--held-out", 1]
    shapes.write(folder, 4, seed=1)
    weights = squeezenet.initial_weights(0)
    safetensors.write(folder / "init.safetensors", "squeezenet", weights)
    return ["pictures", "masks", "--from", "init.safetensors", "--held-out", 1]


@pytest.mark.parametrize("task", ["digits", "classifier", "segmentation", "colorizer", "pix2pix"])
def test_a_command_on_ranks_writes_the_file_of_one(tmp_path: Path, task: str) -> None:
    words = write_task(task, tmp_path)
    files = []
    for ranks in (1, 2):
        output = tmp_path / f"{ranks}.safetensors"
        result = facegen(ranks, tmp_path, task, *words, "--epochs", 2, "-o", output)
        assert result.returncode == 0, result.stderr
        assert result.stdout.count("held out") == 1
        files.append(output.read_bytes())
    assert files[0] == files[1]


def test_faces_on_ranks_are_those_of_one(tmp_path: Path) -> None:
    """With augmentation, and a step with penalties."""
    save(tmp_path / "pictures", colours(20))
    words = ["pictures", "--steps", 2, "--batch", 16, "--width", 1, "--statistics", 4]
    files = []
    for ranks in (1, 2):
        output = tmp_path / f"{ranks}.npz"
        result = facegen(ranks, tmp_path, *words, "-o", output)
        assert result.returncode == 0, result.stderr
        assert result.stderr.count("trained 2 steps") == 1
        files.append(output.read_bytes())
    assert files[0] == files[1]


@pytest.mark.parametrize("task", ["digits", "classifier", "segmentation"])
def test_a_command_trains_asynchronously(tmp_path: Path, task: str) -> None:
    words = [*write_task(task, tmp_path), "--sync", "async", "--epochs", 2]
    result = facegen(3, tmp_path, task, *words, "-o", "mine.safetensors")
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("held out") == 1 and (tmp_path / "mine.safetensors").exists()
    log = (tmp_path / "mine.safetensors.run" / "log.jsonl").read_text()
    assert '"staleness"' in log and '"epoch":2' in log.replace(" ", "")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--bogus"], "No such option '--bogus'"),
        (["-o", "mine.txt"], "mine.txt: extension '.txt' is no format of weights"),
        (["-o", "there/mine.npz"], "there/mine.npz: there is no folder there"),
        ([], "images: No such file or directory"),
    ],
)
def test_what_is_wrong_is_said_once(tmp_path: Path, words: list[str], says: str) -> None:
    (tmp_path / "labels").write_bytes(bytes((0, 0, 8, 1, 0, 0, 0, 1, 7)))
    result = facegen(3, tmp_path, "digits", "images", "labels", *words)
    assert result.returncode == 2
    assert result.stderr.count("facegen: error:") == result.stderr.count(says) == 1


class Alone:
    """A communicator of so many, of which nobody is asked anything."""

    def __init__(self, rank: int, size: int) -> None:
        self.Get_rank, self.Get_size = lambda: rank, lambda: size


def test_every_image_is_some_ranks() -> None:
    for size in (1, 2, 3, 4, 7):
        for images in (1, 8, 9, 30, 64, 100):
            owned = [Ranks(Alone(rank, size)).own(images) for rank in range(size)]
            numbers = [number for own in owned for number in range(images)[own]]
            assert numbers == list(range(images))
