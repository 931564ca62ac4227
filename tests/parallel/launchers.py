"""Starts real ranks: by `facegen launch`, by mpirun where there is one, and as torchrun does."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

import pytest

HERE = Path(__file__).parent
# One installed by pip lies beside Python.
MPIRUN = shutil.which(
    "mpirun", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
)
WHY_NO_MPI = "" if MPIRUN and find_spec("mpi4py") else "no mpirun" if not MPIRUN else "no mpi4py"
LAUNCHERS = [
    "launch",
    pytest.param("mpirun", marks=pytest.mark.skipif(bool(WHY_NO_MPI), reason=WHY_NO_MPI)),
]
# What Open MPI asks of those who are root, or want more ranks than processors.
_OPEN_MPI = {
    "OMPI_ALLOW_RUN_AS_ROOT": "1",
    "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
    "OMPI_MCA_rmaps_base_oversubscribe": "1",
}


def environment() -> dict[str, str]:
    return os.environ | _OPEN_MPI | {"PYTHONPATH": os.pathsep.join([str(HERE), *sys.path])}


def ranks_of(launcher: str, ranks: int, command: Sequence[object]) -> list[str]:
    """The command line that starts `python command` as so many ranks."""
    words = [sys.executable, *map(str, command)]
    if launcher == "launch":
        return [sys.executable, "-m", "facegen", "launch", "--raw", "-n", str(ranks), "--", *words]
    return [str(MPIRUN), "-n", str(ranks), *words]


def run_ranks(
    launcher: str, ranks: int, command: Sequence[object], folder: Path
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ranks_of(launcher, ranks, command),
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def run_as_torchrun(
    ranks: int, command: Sequence[object], folder: Path, more: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Ranks that meet at a port, started with torchrun's variables; their output is one text.

    The exit code is the first that is not 0.
    """
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    words = [sys.executable, *map(str, command)]
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as errors:
        processes = []
        for rank in range(ranks):
            variables = {"RANK": rank, "WORLD_SIZE": ranks, "LOCAL_RANK": rank,
                         "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}  # fmt: skip
            own = environment() | dict(more or {}) | {k: str(v) for k, v in variables.items()}
            processes.append(
                subprocess.Popen(words, cwd=folder, env=own, stdout=out, stderr=errors)
            )
        try:
            codes = [process.wait(120) for process in processes]
        finally:
            for process in processes:
                process.kill()
        for file in (out, errors):
            file.seek(0)
        code = next(filter(None, codes), 0)
        return subprocess.CompletedProcess(words, code, out.read(), errors.read())
