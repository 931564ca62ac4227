"""facegen launch: processors, output and exit codes of its ranks; what it hands over."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from launchers import environment

from facegen import FacegenError
from facegen.parallel.launch import hand_over

ABOUT = """
import json, os
print(json.dumps([int(os.environ["FACEGEN_RANK"]), sorted(os.sched_getaffinity(0)),
                  os.environ.get("CUDA_VISIBLE_DEVICES")]))
"""


def launch(*words: object, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "facegen", "launch", *map(str, words)],
        env=environment() | variables,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("ranks", [1, 2, 3])
def test_processors_are_shared_and_gpus_left_alone(ranks: int) -> None:
    result = launch("-n", ranks, "--", sys.executable, "-c", ABOUT, CUDA_VISIBLE_DEVICES="3,1")
    assert result.returncode == 0, result.stderr
    everything = os.sched_getaffinity(0)
    used: dict[int, list[int]] = {}
    for line in result.stdout.splitlines():
        prefix, _, text = line.partition(" ")
        rank, processors, devices = json.loads(text)
        assert prefix == f"[{rank}]" and devices == "3,1"
        used[rank] = processors
    assert sorted(used) == list(range(ranks))
    assert all(set(own) <= everything for own in used.values())
    counts = [len(own) for own in used.values()]
    if ranks <= len(everything):
        assert sum(counts) == len(everything) == len(set().union(*used.values()))
        assert max(counts) - min(counts) <= 1
    else:
        assert set(counts) == {1}


def test_the_exit_code_is_that_of_rank_0() -> None:
    program = "import os, sys; sys.exit(3 if os.environ['FACEGEN_RANK'] == '0' else 5)"
    assert launch("-n", 2, "--", sys.executable, "-c", program).returncode == 3


def test_errors_have_their_rank() -> None:
    program = "import os, sys; print('oh', file=sys.stderr)"
    lines = launch("-n", 2, "--", sys.executable, "-c", program).stderr.splitlines()
    assert sorted(lines) == ["[0] oh", "[1] oh"]  # in no order


def test_a_reader_that_goes_away_ends_it() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "facegen", "launch", "-n", "1", "--", "yes"],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None and process.stderr is not None
    assert process.stdout.readline() == b"[0] y\n"
    process.stdout.close()
    try:
        assert process.wait(30) == 1
    finally:
        process.kill()
    assert b"Traceback" not in process.stderr.read()


def test_no_such_program() -> None:
    result = launch("-n", 2, "--", "no-such-program")
    assert result.returncode == 2
    assert result.stderr == "facegen: error: no-such-program: no such program\n"


def test_a_program_that_is_no_rank_is_told(tmp_path: Path) -> None:
    """FACEGEN_RANK was inherited, the sockets were not."""
    result = subprocess.run(
        [
            sys.executable,
            "-m",
            "facegen",
            "generate",
            "--seeds",
            "1",
            "-o",
            str(tmp_path / "x.png"),
        ],
        env=environment() | {"FACEGEN_RANK": "0", "FACEGEN_RANKS": "2"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 2 and "no sockets of facegen launch" in result.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_all(number: int, tmp_path: Path) -> None:
    program = "import os, pathlib, time; pathlib.Path(str(os.getpid())).touch(); time.sleep(60)"
    process = subprocess.Popen(
        [sys.executable, "-m", "facegen", "launch", "-n", "2", "--", sys.executable, "-c", program],
        cwd=tmp_path,
        env=environment(),
        stderr=subprocess.DEVNULL,
    )
    while len(os.listdir(tmp_path)) < 2:
        time.sleep(0.01)
    process.send_signal(number)
    assert process.wait(30) != 0
    for name in os.listdir(tmp_path):
        with pytest.raises(ProcessLookupError):
            os.kill(int(name), 0)


COMMAND = ["facegen", "a", "b"]


@pytest.mark.parametrize(
    ("hosts", "variables", "expected"),
    [
        (["x", "y"], {}, ["mpirun", "-n", "5", "--host", "x:3,y:3", *COMMAND]),
        (["x:4", "y:1"], {}, ["mpirun", "-n", "5", "--host", "x:4,y:1", *COMMAND]),
        (["x", "y"], {"SLURM_JOB_ID": "1"}, ["srun", "--ntasks=5", "--nodelist=x,y", *COMMAND]),
    ],
)
def test_several_hosts_are_handed_over(
    hosts: list[str], variables: dict[str, str], expected: list[str]
) -> None:
    assert hand_over(COMMAND, 5, hosts, variables) == expected


def test_hosts_without_names_are_refused() -> None:
    with pytest.raises(FacegenError, match="--hosts: expected names"):
        hand_over(COMMAND, 2, ["x", ""], {})
