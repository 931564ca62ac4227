"""GPUs that share batches: the bits of one, and what is left when a rank ends."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from test_ranks import Alone, write_task

from facegen import _native, train
from facegen.engine.cuda import cuda_module, usable_gpus
from facegen.errors import DeviceError
from facegen.networks import lenet
from facegen.train import gpu_ranks
from facegen.train.ranks import Ranks
from parallel.launchers import run_as_torchrun, run_ranks

JOB = Path(__file__).parent / "ranks_job.py"
on_gpus = pytest.mark.cuda


def need(gpus: int) -> None:
    """Skip where there are fewer GPUs, or no NCCL for several."""
    if len(usable_gpus()) < gpus:
        pytest.skip(f"needs {gpus} GPUs")
    if gpus == 1:
        return
    try:
        cuda_module().CudaPeers.load(gpu_ranks.find_library())
    except RuntimeError as error:
        pytest.skip(f"no NCCL ({error})")


def run(
    ranks: int, network: str, images: int, mode: str, folder: Path, shares: int = 4
) -> subprocess.CompletedProcess[str]:
    """As torchrun starts it; of one rank alone, without."""
    command = [JOB, network, images, mode, folder / "state.npz", "cuda", shares]
    if ranks == 1:
        return run_ranks("launch", 1, command, folder)
    return run_as_torchrun(ranks, command, folder)


def assert_alike(result: subprocess.CompletedProcess[str], ranks: int) -> None:
    """All ranks say that they have the same."""
    assert result.returncode == 0, result.stderr
    digests = re.findall("[0-9a-f]{64}", result.stdout)
    assert len(digests) == ranks and len(set(digests)) == 1


def state_of(folder: Path) -> dict[str, np.ndarray]:
    return dict(np.load(folder / "state.npz"))


@on_gpus
@pytest.mark.parametrize("gpus", [2, 4])
@pytest.mark.parametrize("network", ["lenet", "discriminator", "wide"])
@pytest.mark.parametrize("mode", ["plain", "run"])
def test_any_number_of_gpus_gives_the_same_bits(
    tmp_path: Path, network: str, mode: str, gpus: int
) -> None:
    need(gpus)
    states = []
    for ranks in (1, gpus):
        result = run(ranks, network, 32, mode, tmp_path)
        assert_alike(result, ranks)
        states.append(state_of(tmp_path))
    for name, array in states[0].items():
        assert states[1][name].tobytes() == array.tobytes(), name


@on_gpus
@pytest.mark.parametrize("images", [32, 43])
def test_gpus_are_near_one(tmp_path: Path, images: int) -> None:
    """Without shares, and of parts that differ: sums of some thousand products of 2^-16."""
    need(2)
    states = []
    for ranks in (1, 2, 2):
        result = run(ranks, "discriminator", images, "plain", tmp_path, shares=1)
        assert result.returncode == 0, result.stderr
        states.append(state_of(tmp_path))
    one, two, again = states
    np.testing.assert_allclose(two["losses"], one["losses"], rtol=1e-3)
    for name, array in two.items():
        assert again[name].tobytes() == array.tobytes(), name


@on_gpus
def test_all_hear_where_a_number_is_not_finite(tmp_path: Path) -> None:
    need(2)
    result = run(2, "discriminator", 32, "nan", tmp_path)
    assert result.returncode != 0
    said = "step 2 of discriminator: input 0 has a number that is not finite, in image 5"
    assert result.stderr.count(said) == 1 and not (tmp_path / "state.npz").exists()


@on_gpus
@pytest.mark.parametrize("mode", ["fail 1", "kill 1", "kill 0"])
def test_a_rank_that_ends_ends_the_run_and_fewer_go_on(tmp_path: Path, mode: str) -> None:
    need(2)
    whole = run(1, "lenet", 32, "plain", tmp_path)
    expected = state_of(tmp_path)
    (tmp_path / "state.npz").unlink()
    result = run(2, "lenet", 32, mode, tmp_path)
    assert whole.returncode == 0 and result.returncode != 0
    rank = mode[-1]
    said = "the disk is full" if mode == "fail 1" else "gone"
    assert len(re.findall(rf"facegen: error: rank {rank}:? .*{said}\n", result.stderr)) == 1
    assert result.stderr.count("\n") == 1
    result = run(1, "lenet", 32, "resume", tmp_path)
    assert result.returncode == 0, result.stderr
    for name, array in state_of(tmp_path).items():
        assert array.tobytes() == expected[name].tobytes(), name


@on_gpus
@pytest.mark.parametrize("task", ["digits", "classifier", "segmentation"])
def test_a_command_on_gpus(tmp_path: Path, task: str) -> None:
    need(2)
    words = ["-m", "facegen", "train", task, *write_task(task, tmp_path), "--device", "cuda"]
    words += ["--epochs", 2, "-o", "mine.safetensors"]
    for start in (run_as_torchrun, lambda *given: run_ranks("launch", *given)):
        result = start(2, [*words, "--overwrite"], tmp_path)
        assert result.returncode == 0, result.stderr
        assert result.stdout.count("held out") == 1 and "trains on cuda:0, " in result.stderr


@on_gpus
@pytest.mark.parametrize("gpus", [2, 4])
def test_a_command_in_shares_writes_the_file_of_one_gpu(tmp_path: Path, gpus: int) -> None:
    need(gpus)
    words = ["-m", "facegen", "train", "digits", *write_task("digits", tmp_path)]
    words += ["--device", "cuda", "--batch", 24, "--epochs", 2, "--shares", 4, "-o"]
    files = []
    for ranks in (1, gpus):
        result = run_ranks("launch", ranks, [*words, f"{ranks}.safetensors"], tmp_path)
        assert result.returncode == 0, result.stderr
        files.append((tmp_path / f"{ranks}.safetensors").read_bytes())
    assert files[0] == files[1]


@on_gpus
def test_a_batch_too_small_for_the_gpus(tmp_path: Path) -> None:
    need(2)
    result = run(2, "lenet", 1, "plain", tmp_path)
    assert result.returncode != 0
    assert "a batch of 1 images is too small for 2 GPUs" in result.stderr


@on_gpus
def test_shares_of_one_gpu_are_near_the_whole() -> None:
    random = np.random.default_rng(0)
    x, y = random.random((24, 28, 28, 1), np.float32), random.integers(0, 10, 24)
    losses = []
    for shares in (1, 4):
        trainer = train.Trainer(
            lenet.graph(), "cross_entropy", train.SGD(rate=0.01), seed=1, shares=shares,
            device="cuda",
        )  # fmt: skip
        losses.append(np.concatenate([trainer.step(x, y) for _ in range(3)]))
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-3)
    trainer.predict(x)
    with pytest.raises(ValueError, match="predict is of a whole batch"):
        trainer.step(x, y, predicted=True)


def test_what_shares_do_not_have() -> None:
    for shares, message in ((3, "a power of 2, not 3"), (0, "1 to 1024, not 0")):
        with pytest.raises(ValueError, match=message):
            train.Trainer(lenet.graph(), "cross_entropy", train.SGD(rate=0.1), shares=shares)


def test_images_of_a_rank_on_a_gpu() -> None:
    for size in (1, 2, 3, 4, 7):
        for images in (7, 8, 30, 64, 100):
            ranks = [Ranks(Alone(rank, size)) for rank in range(size)]
            for each in ranks:
                each.gpu = object()  # type: ignore[assignment]
            numbers = [number for each in ranks for number in range(images)[each.own(images)]]
            counts = [len(range(images)[each.own(images)]) for each in ranks]
            assert numbers == list(range(images)) and max(counts) - min(counts) <= 1


def test_a_gpu_is_one_ranks_alone() -> None:
    def rank(index: int) -> Any:
        return SimpleNamespace(rank=0, all=lambda own: [own, own[:2] + [index]])

    gpu_ranks._check_apart(rank(1), 0)
    with pytest.raises(DeviceError, match="ranks 0 and 1 both have cuda:0 of ") as raised:
        gpu_ranks._check_apart(rank(0), 0)
    assert vars(raised.value)["of_all_ranks"]


def test_the_library_of_the_package_comes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpu_ranks, "find_spec", lambda name: None)
    assert gpu_ranks.find_library() == "libnccl.so.2"
    there = SimpleNamespace(submodule_search_locations=[str(tmp_path)])
    monkeypatch.setattr(gpu_ranks, "find_spec", lambda name: there)
    assert gpu_ranks.find_library() == "libnccl.so.2"
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "libnccl.so.2").touch()
    assert gpu_ranks.find_library() == str(tmp_path / "lib" / "libnccl.so.2")


built = pytest.mark.skipif(bool(_native.WHY_NO_CUDA), reason="built without CUDA")


@built
def test_a_library_that_is_missing_is_an_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_ranks, "find_library", lambda: "/nowhere/libnccl.so.2")
    alone = SimpleNamespace(rank=0, size=2, first=True, gpu=None, first_word=lambda word: word)
    message = "takes NCCL: pip install .*nccl.*/nowhere/libnccl"
    with pytest.raises(DeviceError, match=message) as raised:
        gpu_ranks.connect(alone, 0)  # type: ignore[arg-type]
    assert "\n" not in str(raised.value)


@built
@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")
def test_a_library_that_is_none_or_too_old(tmp_path: Path) -> None:
    """The first that fits stays for good: none here does."""
    names = ["GetUniqueId", "CommInitRank", "CommSplit", "CommDestroy", "CommGetAsyncError",
             "AllReduce", "AllGather", "Broadcast"]  # fmt: skip
    functions = "".join(f"int nccl{name}(void) {{ return 0; }}\n" for name in names)
    functions += 'const char* ncclGetErrorString(int e) { return "a fake failure"; }\n'
    functions += 'const char* ncclGetLastError(void* c) { return ""; }\n'
    cases = {
        "int ncclOther;": "has no ncclGetVersion: NCCL 2.18 or newer is needed",
        functions + "int ncclGetVersion(int* v) { *v = 21700; return 0; }": "is version 21700 of",
        functions + "int ncclGetVersion(int* v) { return 1; }": "ncclGetVersion: a fake failure",
    }
    for number, (source, message) in enumerate(cases.items()):
        (tmp_path / "nccl.c").write_text(source)
        library = tmp_path / f"libnccl{number}.so"
        command = ["cc", "-shared", "-fPIC", "-o", library, tmp_path / "nccl.c"]
        subprocess.run(command, check=True)
        with pytest.raises((RuntimeError, DeviceError), match=message):
            cuda_module().CudaPeers.load(str(library))
