"""Variables of launchers where no rank is wanted, and in what a rank starts as a tool."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from launchers import LAUNCHERS, WHY_NO_MPI, run_ranks

from facegen import __version__
from facegen.cli.main import main

VARIABLES = {
    "a pod": {"RANK": "1", "WORLD_SIZE": "2"},
    "torchrun": {"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2"},
    "Open MPI": {"OMPI_COMM_WORLD_RANK": "1", "OMPI_COMM_WORLD_SIZE": "2"},
    "MPICH": {"PMI_RANK": "1", "PMI_SIZE": "2", "PMI_FD": "99"},
    "Slurm": {"SLURM_STEP_ID": "0", "SLURM_STEP_NUM_TASKS": "2", "SLURM_PROCID": "1"},
    "launch": {"FACEGEN_RANK": "1", "FACEGEN_RANKS": "2", "FACEGEN_LINKS": "99:1"},
    "nonsense": {"RANK": "first", "WORLD_SIZE": "2", "PMI_RANK": "x", "PMI_SIZE": "y"},
}


@pytest.mark.parametrize("variables", VARIABLES)
@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (["--version"], f"facegen {__version__}"),
        (["--help"], "Commands:"),
        (["colorize", "--help"], "--strength"),
        (["colorizer", "main", "--help"], "Usage:"),
        (["doctor"], "facegen"),
        (["init", "dcgan", "network.bin"], "network.bin"),
        (["inspect", "init.npz"], "dcgan"),
        (["convert", "init.npz", "copy.safetensors"], "copy.safetensors"),
    ],
)
def test_commands_that_share_no_work_do_not_look_at_them(
    variables: str,
    words: list[str],
    shown: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    if "init.npz" in words:
        assert main(["init", "dcgan", "init.npz", "-q"]) == 0
    for name, value in VARIABLES[variables].items():
        monkeypatch.setenv(name, value)
    capsys.readouterr()
    assert main(words) == 0
    said = capsys.readouterr()
    assert shown in said.out and said.err == ""


@pytest.mark.parametrize("variables", [name for name in VARIABLES if name != "Open MPI"])
def test_no_exit_is_silent(
    variables: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "mpi4py", None)  # as where it is not installed
    for name, value in VARIABLES[variables].items():
        monkeypatch.setenv(name, value)
    assert main(["generate", "--seeds", "1", "-o", "face.png"]) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err.startswith("facegen: error: ")
    assert len(said.err.splitlines()) == 1 and list(tmp_path.iterdir()) == []


TOOL = """
import json, os, subprocess, sys
JOIN
words = [sys.executable, "-m", "facegen", "generate", "--seeds", "5", "--device", "cpu", "-q"]
words += ["-o", f"{rank}.png"]
tool = subprocess.run(words, close_fds=CLOSE, capture_output=True, text=True)
with open(f"{rank}.json", "w") as file:
    json.dump([tool.returncode, tool.stderr], file)
LEAVE
"""
MPI_JOIN = "from mpi4py import MPI; rank = MPI.COMM_WORLD.rank"
OWN_JOIN = "from facegen import parallel; parallel.join(); rank = 0"


@pytest.mark.skipif(bool(WHY_NO_MPI), reason=WHY_NO_MPI)
@pytest.mark.parametrize("close", [True, False])
def test_a_tool_of_an_mpi_program_works_by_itself(close: bool, tmp_path: Path) -> None:
    """A second start of MPI in a rank would end or hang the job."""
    text = TOOL.replace("JOIN", MPI_JOIN).replace("CLOSE", str(close))
    script = tmp_path / "script.py"
    script.write_text(text.replace("LEAVE", "MPI.COMM_WORLD.Barrier(); print('left')"))
    result = run_ranks("mpirun", 2, [script], tmp_path)
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("left") == 2  # the barrier; ranks' lines may run into each other
    for rank in (0, 1):
        assert json.loads((tmp_path / f"{rank}.json").read_text()) == [0, ""]
    assert (tmp_path / "0.png").read_bytes() == (tmp_path / "1.png").read_bytes()


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_a_tool_of_rank_0_works_by_itself(launcher: str, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    text = TOOL.replace("JOIN", OWN_JOIN).replace("CLOSE", "True")
    script.write_text(text.replace("LEAVE", "parallel.run(range(9), abs, print)"))
    result = run_ranks(launcher, 2, [script], tmp_path)
    assert result.returncode == 0, result.stderr
    assert json.loads((tmp_path / "0.json").read_text()) == [0, ""]
    assert (tmp_path / "0.png").is_file()
    assert result.stdout.splitlines() == [str(i) for i in range(9)]


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_a_shell_between_launcher_and_rank(launcher: str, tmp_path: Path) -> None:
    """As scripts that bind ranks to processors: what they start are the ranks."""
    words = f"{sys.executable} -m facegen generate --seeds 0-299 --device cpu -o faces.npy"
    wrapper = ["-c", f"import os; os.execvp('sh', ['sh', '-c', '{words}; exit $?'])"]
    result = run_ranks(launcher, 2, wrapper, tmp_path)
    assert result.returncode == 0, result.stderr
    assert len(result.stdout.splitlines()) == 1 and "faces.npy" in result.stdout  # of rank 0 alone


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_a_program_between_that_closes_the_connection(launcher: str, tmp_path: Path) -> None:
    """Its ranks cannot reach each other: an error of each, and a way out of it."""
    if launcher == "mpirun":
        asked = ["-c", "import os; print('PMI_FD' in os.environ)"]
        if run_ranks(launcher, 1, asked, tmp_path).stdout.strip() != "True":
            pytest.skip("ranks of this MPI reach their launcher by name, not by a socket they have")
    words = ["-m", "facegen", "generate", "--seeds", "5", "--device", "cpu", "-q", "-o", "x.png"]
    code = "import subprocess, sys; sys.exit(subprocess.run([sys.executable, *sys.argv[1:]])"
    wrapper = ["-c", f"{code}.returncode)", *words]
    result = run_ranks(launcher, 1, wrapper, tmp_path)
    assert result.returncode == 0  # one rank needs no connection
    (tmp_path / "x.png").unlink()
    result = run_ranks(launcher, 2, wrapper, tmp_path)
    assert result.returncode == 2 and "FACEGEN_RANKS=off" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_forked_child_leaves_the_links_alone(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import os, sys\n"
        "from facegen import parallel\n"
        "parallel.join()\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    parallel.run(range(3), abs, lambda number: None)\n"
        "    sys.exit(0)  # with all that is done at the exit\n"
        "assert os.waitpid(child, 0)[1] == 0\n"
        "parallel.run(range(40), abs, print)\n"
    )
    result = run_ranks("launch", 2, [script], tmp_path)
    assert result.returncode == 0 and result.stderr == ""
    assert result.stdout.split() == [str(i) for i in range(40)]
