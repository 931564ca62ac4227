"""Two hosts, as network namespaces of this machine with a cable between them, over MPI by TCP."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
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
        yield names
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)


def received(host: str) -> int:
    """Bytes that a host got through its cable."""
    lines = ip("-n", host, "-s", "link", "show", host).splitlines()
    return int(lines[[line.strip().startswith("RX:") for line in lines].index(True) + 1].split()[0])


def test_a_rank_on_each_of_two_hosts(hosts: list[str], tmp_path: Path) -> None:
    shell = tmp_path / "shell"  # in the place of ssh: [-x] ADDRESS COMMAND...
    shell.write_text(
        '#!/bin/sh\n[ "$1" = -x ] && shift\nshift\n'
        f'exec ip netns exec {hosts[1]} unshare -u sh -c "hostname {hosts[1]}; exec $*"\n'
    )
    shell.chmod(0o755)
    assert main(["init", "dcgan", "--seed", "1", str(tmp_path / "n.bin"), "-q"]) == 0
    generate = ["generate", "-n", str(tmp_path / "n.bin"), "--seeds", "0-639", "--device", "cpu"]
    assert main([*generate, "-q", "-o", str(tmp_path / "one.npy")]) == 0
    before = received(hosts[0])
    subprocess.run(
        ["ip", "netns", "exec", hosts[0], "unshare", "-u", "sh", "-c",
         f'hostname {hosts[0]}; exec "$@"', "sh", str(MPIRUN), "-n", "2", "-hosts",
         ",".join(ADDRESSES), "-launcher", "ssh", "-launcher-exec", str(shell), sys.executable,
         "-m", "facegen", *generate, "--threads", "1", "-q", "-o", str(tmp_path / "two.npy")],
        env=environment() | {"UCX_TLS": "tcp,self", "FI_PROVIDER": "tcp", "MPIR_CVAR_NOLOCAL": "1"},
        timeout=120,
        check=True,
    )  # fmt: skip
    assert (tmp_path / "two.npy").read_bytes() == (tmp_path / "one.npy").read_bytes()
    # The second host returned one chunk of 256 faces at least, so it had the weights too.
    assert received(hosts[0]) - before > 256 * 64 * 64 * 3 * 4
