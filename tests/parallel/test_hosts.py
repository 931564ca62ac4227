"""Two hosts, as network namespaces of this machine with a cable between them, over MPI by TCP."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from launchers import MPIRUN, WHY_NO_MPI, environment

from facegen.cli.main import main

ADDRESSES = ("10.77.31.1", "10.77.31.2")


def why_not() -> str:
    if WHY_NO_MPI:
        return WHY_NO_MPI
    if os.geteuid() or not shutil.which("ip") or not shutil.which("unshare"):
        return "network namespaces take root, ip and unshare"
    version = subprocess.run([str(MPIRUN), "--version"], capture_output=True, text=True).stdout
    return "" if "HYDRA" in version else "written for MPICH's mpirun"


pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(why_not()), reason=why_not())]


def ip(*words: str) -> str:
    return subprocess.run(["ip", *words], check=True, capture_output=True, text=True).stdout


@pytest.fixture
def hosts() -> Iterator[list[str]]:
    """Names of two namespaces that reach each other."""
    names = [f"fg{secrets.token_hex(3)}{end}" for end in "ab"]
    try:
        for name in names:
            try:
                ip("netns", "add", name)
            except subprocess.CalledProcessError as error:
                pytest.skip(f"no network namespaces here: {error.stderr.strip()}")
        ip("link", "add", names[0], "netns", names[0], "type", "veth",
           "peer", "name", names[1], "netns", names[1])  # fmt: skip
        for name, address in zip(names, ADDRESSES, strict=True):
            ip("-n", name, "addr", "add", f"{address}/24", "dev", name)
            ip("-n", name, "link", "set", name, "up")
            ip("-n", name, "link", "set", "lo", "up")
        deadline = time.monotonic() + 10  # UCX looks once, when MPI starts
        while not all("state UP" in ip("-n", name, "link", "show", name) for name in names):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield names
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)


def received(host: str) -> int:
    """Bytes that a host got through its cable."""
    lines = ip("-n", host, "-s", "link", "show", host).splitlines()
    return int(lines[[line.strip().startswith("RX:") for line in lines].index(True) + 1].split()[0])


def start(
    hosts: list[str], folder: Path, *command: object, **variables: str
) -> subprocess.Popen[str]:
    """facegen COMMAND as a rank on each of the hosts."""
    shell = folder / "shell"  # in the place of ssh: [-x] ADDRESS COMMAND...
    shell.write_text(
        '#!/bin/sh\n[ "$1" = -x ] && shift\nshift\n'
        f'exec ip netns exec {hosts[1]} unshare -u sh -c "hostname {hosts[1]}; exec $*"\n'
    )
    shell.chmod(0o755)
    tcp = {"UCX_TLS": "tcp,self", "FI_PROVIDER": "tcp", "MPIR_CVAR_NOLOCAL": "1"}
    return subprocess.Popen(
        ["ip", "netns", "exec", hosts[0], "unshare", "-u", "sh", "-c",
         f'hostname {hosts[0]}; exec "$@"', "sh", str(MPIRUN), "-n", "2", "-hosts",
         ",".join(ADDRESSES), "-launcher", "ssh", "-launcher-exec", str(shell), sys.executable,
         "-m", "facegen", *map(str, command)],
        env=environment() | tcp | variables,
        stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip


@pytest.fixture
def generate(tmp_path: Path) -> list[object]:
    network = str(tmp_path / "n.bin")
    assert main(["init", "dcgan", "--seed", "1", network, "-q"]) == 0
    return ["generate", "-n", network, "--device", "cpu", "--threads", "1", "-q"]


def test_a_rank_on_each_of_two_hosts(
    hosts: list[str], generate: list[object], tmp_path: Path
) -> None:
    generate += ["--seeds", "0-639", "-o"]
    assert main([*map(str, generate), str(tmp_path / "one.npy")]) == 0
    before = received(hosts[0])
    _, errors = start(hosts, tmp_path, *generate, tmp_path / "two.npy").communicate(timeout=120)
    assert errors == ""
    assert (tmp_path / "two.npy").read_bytes() == (tmp_path / "one.npy").read_bytes()
    # The second host returned one chunk of 256 faces at least, so it had the weights too.
    assert received(hosts[0]) - before > 256 * 64 * 64 * 3 * 4


def test_a_cable_that_is_cut(hosts: list[str], generate: list[object], tmp_path: Path) -> None:
    """The run ends, and the next one goes on."""
    generate += ["--seeds", "0-2999", "--resume", "-o"]
    run = start(hosts, tmp_path, *generate, tmp_path / "two.npy", FACEGEN_MPI_TIMEOUT="4")
    journal = tmp_path / ".two.npy.facegen-journal"
    deadline = time.monotonic() + 60
    while not journal.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    ip("-n", hosts[0], "link", "set", hosts[0], "down")
    try:
        _, errors = run.communicate(timeout=60)
    finally:
        run.kill()
    assert run.returncode != 0 and "rank 1 was not heard of for 4 seconds" in errors
    assert not (tmp_path / "two.npy").exists()
    assert main([*map(str, generate), str(tmp_path / "two.npy")]) == 0
    assert main([*map(str, generate), str(tmp_path / "one.npy")]) == 0
    assert (tmp_path / "two.npy").read_bytes() == (tmp_path / "one.npy").read_bytes()
