"""Commands as several ranks: the bytes of one process, one error, nothing half written."""

from __future__ import annotations

import os
import re
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from launchers import LAUNCHERS, WHY_NO_MPI, environment, ranks_of, run_ranks

from facegen.cli.main import main
from facegen.engine.cuda import usable_gpus
from facegen.networks import dcgan

FACES = 160  # chunks of 64


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with network.bin, in.txt, and what one process makes of them."""
    folder = tmp_path_factory.mktemp("ranks")
    network, text = str(folder / "network.bin"), str(folder / "in.txt")
    assert main(["init", "dcgan", "--seed", "1", network, "--quiet"]) == 0
    rows = [" ".join(f"{v:.9g}" for v in row) for row in dcgan.latents(range(FACES))]
    Path(text).write_text("\n".join([str(FACES), *rows, ""]))
    outputs = [str(folder / "out.txt"), str(folder / "out.bmp")]
    assert main([network, text, *outputs, "--quiet", "--device", "cpu"]) == 0
    return folder


def command(folder: Path, *names: str) -> list[object]:
    paths = [name if name.startswith("/") else folder / name for name in ("network.bin", *names)]
    return ["-m", "facegen", *paths, "--device", "cpu", "--threads", "1"]


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_bytes_of_one_process(launcher: str, faces: Path, tmp_path: Path) -> None:
    outputs = [str(tmp_path / "out.txt"), str(tmp_path / "out.bmp")]
    result = run_ranks(launcher, 3, command(faces, "in.txt", *outputs), tmp_path)
    assert result.returncode == 0, result.stderr
    for name in ("out.txt", "out.bmp"):
        assert (tmp_path / name).read_bytes() == (faces / name).read_bytes()
    lines = result.stdout.splitlines()
    assert len([line for line in lines if line.startswith("facegen")]) == 1  # rank 0 alone prints
    assert re.fullmatch(r"Elapsed time : \d+\.\d{6} sec", lines[-1])


def test_generate(faces: Path, tmp_path: Path) -> None:
    words = ["-m", "facegen", "generate", "-n", faces / "network.bin", "--device", "cpu", "-q"]
    words += ["--threads", 1, "--seeds", f"0-{FACES - 1}", "-o", tmp_path / "out.npy"]
    result = run_ranks("launch", 2, words, tmp_path)
    assert result.returncode == 0, result.stderr
    generator = dcgan.Generator(faces / "network.bin", device="cpu")
    np.testing.assert_array_equal(np.load(tmp_path / "out.npy"), generator.generate(range(FACES)))


def test_generate_a_file_a_face(faces: Path, tmp_path: Path) -> None:
    """Ranks encode the pictures, rank 0 writes them and goes on where a run has ended."""
    words = ["generate", "-n", str(faces / "network.bin"), "--device", "cpu", "-q", "-o"]
    one, two, count = tmp_path / "one", tmp_path / "two", 300  # chunks of 256
    assert main([*words, f"{one}/", "--seeds", f"0-{count - 1}"]) == 0
    assert main([*words, f"{two}/", "--seeds", "3-90"]) == 0
    rest = ["-m", "facegen", *words, two, "--seeds", f"0-{count - 1}", "--resume"]
    result = run_ranks("launch", 2, [*rest, "--threads", "1"], tmp_path)
    assert result.returncode == 0, result.stderr
    names = [path.name for path in one.glob("*.png")]
    assert len(names) == count == len(list(two.glob("*.png")))
    for name in names:
        assert (two / name).read_bytes() == (one / name).read_bytes()


def errors(result: subprocess.CompletedProcess[str]) -> list[str]:
    return [line for line in result.stderr.splitlines() if line.startswith("facegen: error")]


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_a_wrong_file_is_one_error(launcher: str, faces: Path, tmp_path: Path) -> None:
    words = command(faces, "in.txt", "out.txt", "out.bmp")
    words[2] = "nowhere"
    result = run_ranks(launcher, 3, words, tmp_path)
    assert result.returncode == 2
    assert errors(result) == ["facegen: error: nowhere: No such file or directory"]
    assert os.listdir(tmp_path) == []


def test_bad_input_in_the_middle(faces: Path, tmp_path: Path) -> None:
    text = (faces / "in.txt").read_text().splitlines()
    text[100] = "seven " + text[100]
    (tmp_path / "in.txt").write_text("\n".join(text))
    outputs = [str(tmp_path / name) for name in ("in.txt", "out.txt", "out.bmp")]
    result = run_ranks("launch", 2, command(faces, *outputs), tmp_path)
    assert result.returncode == 2
    assert len(errors(result)) == 1 and "line 101, column 1" in errors(result)[0]
    assert os.listdir(tmp_path) == ["in.txt"]


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_full_disk(launcher: str, faces: Path, tmp_path: Path) -> None:
    words = command(faces, "in.txt", str(tmp_path / "out.txt"), str(tmp_path / "out.bmp"))

    def limit() -> None:  # of a file: the text of a hundred faces
        resource.setrlimit(resource.RLIMIT_FSIZE, (10 << 20, 10 << 20))

    result = subprocess.run(
        ranks_of(launcher, 2, words),
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=120,
        preexec_fn=limit,
    )
    assert result.returncode == 1
    assert len(errors(result)) == 1 and "out.txt: File too large" in errors(result)[0]
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(bool(WHY_NO_MPI), reason=WHY_NO_MPI)
@pytest.mark.parametrize("rank", [0, 3])
def test_slurm_and_mpi_that_do_not_match(rank: int, faces: Path, tmp_path: Path) -> None:
    """As `srun -n 4` of a Slurm whose PMI this MPI does not know: every task sees itself alone."""
    step = {"SLURM_STEP_ID": "0", "SLURM_STEP_NUM_TASKS": "4", "SLURM_PROCID": str(rank)}
    result = alone(step, faces, tmp_path)
    assert result.returncode == 2 and os.listdir(tmp_path) == []
    assert len(errors(result)) == 1
    for words in ("srun started 4 tasks", "sees 1", "--mpi=pmi"):
        assert words in errors(result)[0]


@pytest.mark.parametrize("rank", [0, 1])
def test_processes_that_nothing_connects(rank: int, faces: Path, tmp_path: Path) -> None:
    """Each says why it ends; where one is to do everything, a variable says so."""
    started = {"RANK": str(rank), "WORLD_SIZE": "2"}
    result = alone(started, faces, tmp_path)
    assert result.returncode == 2 and os.listdir(tmp_path) == []
    assert len(errors(result)) == 1
    for words in ("started 2 times", "--shard auto", "FACEGEN_RANKS=off"):
        assert words in errors(result)[0]
    assert alone(started | {"FACEGEN_RANKS": "off"}, faces, tmp_path).returncode == 0
    assert (tmp_path / "out.txt").read_bytes() == (faces / "out.txt").read_bytes()


def test_one_task_of_slurm_is_an_ordinary_process(faces: Path, tmp_path: Path) -> None:
    """A batch script announces the tasks of the job, and starts one command without srun."""
    batch = {"SLURM_JOB_ID": "1", "SLURM_NTASKS": "4", "SLURM_PROCID": "0"}
    assert alone(batch, faces, tmp_path).returncode == 0
    assert (tmp_path / "out.txt").read_bytes() == (faces / "out.txt").read_bytes()


def alone(variables: dict[str, str], faces: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            sys.executable,
            *map(str, command(faces, "in.txt", f"{folder}/out.txt", f"{folder}/b.bmp")),
        ],
        cwd=folder,
        env=environment() | variables,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.cuda
@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_two_ranks_of_a_gpu_are_one_rank_of_two(
    launcher: str, faces: Path, tmp_path: Path
) -> None:
    gpus = usable_gpus()
    if len(gpus) < 2:
        pytest.skip("there is one GPU, two are needed")
    device = f"cuda:{gpus[0]},{gpus[1]}"
    words = ["generate", "-n", str(faces / "network.bin"), "--seeds", "0-4999", "-q"]
    words += ["--device", device, "-o"]
    assert main([*words, str(tmp_path / "one.npy")]) == 0
    command = ["-m", "facegen", *words, str(tmp_path / "two.npy")]
    result = run_ranks(launcher, 2, command, tmp_path)
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "two.npy").read_bytes() == (tmp_path / "one.npy").read_bytes()
