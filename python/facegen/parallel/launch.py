"""Ranks on this machine as child processes, connected with rank 0 by socket pairs."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO

from facegen import system
from facegen.errors import FacegenError
from facegen.shares import split

_END_SECONDS = 10.0  # that ranks have to end, once rank 0 has ended


def default_ranks() -> int:
    """How many ranks there are by default: one a usable GPU, or one."""
    from facegen.engine.devices import usable_kind

    kind = usable_kind()
    return len(kind.usable()) if kind else 1


def hand_over(
    command: Sequence[str], ranks: int, hosts: Sequence[str], environment: Mapping[str, str]
) -> list[str]:
    """The command line of srun, in a Slurm job, or of mpirun that runs a command on several hosts.

    `ranks` is their number in all; a host is a name, or ``name:slots`` for mpirun.
    """
    if not all(hosts):
        raise FacegenError(f"--hosts: expected names with commas between, found {','.join(hosts)}")
    if "SLURM_JOB_ID" in environment:
        names = ",".join(host.partition(":")[0] for host in hosts)
        return ["srun", f"--ntasks={ranks}", f"--nodelist={names}", *command]
    a_host = -(-ranks // len(hosts))
    slots = ",".join(host if ":" in host else f"{host}:{a_host}" for host in hosts)
    return ["mpirun", "-n", str(ranks), "--host", slots, *command]


def launch(command: Sequence[str], ranks: int, raw: bool = False) -> int:
    """Run a command as ranks 0 to `ranks` - 1 and wait for them; gives the exit code of rank 0.

    Each gets neighbouring processors of those that this process may use, as many for each rank, and
    takes its GPUs by its number (`facegen.launchers.gpus_of`). Lines of output and errors
    begin with ``[rank]`` unless `raw`. A rank that dies is reported at once. SIGINT and SIGTERM are
    passed on. An OSError says that its output could not be passed on, a FacegenError that this
    system has no such ranks.
    """
    if reason := system.why_no_launch():
        raise FacegenError(reason)
    processors = _processors()
    everything = system.processors()
    shares = split(len(processors), ranks)
    children: list[subprocess.Popen[bytes]] = []
    with ExitStack() as sockets:
        pairs = [socket.socketpair() for _ in range(ranks - 1)]
        for pair in pairs:
            for end in pair:
                sockets.enter_context(end)
        try:
            for rank, share in enumerate(shares):
                ends = [near for near, _ in pairs] if rank == 0 else [pairs[rank - 1][1]]
                own = [processors[i] for i in share] or [processors[rank % len(processors)]]
                system.bind(own)  # children inherit it
                children.append(_start(command, rank, ranks, ends, raw))
        except BaseException:
            for child in children:
                child.kill()
            raise
        finally:
            system.bind(everything)
    return _wait(children, raw)


def _start(
    command: Sequence[str], rank: int, ranks: int, ends: Sequence[socket.socket], raw: bool
) -> subprocess.Popen[bytes]:
    descriptors = [end.fileno() for end in ends]
    environment = os.environ | {
        "FACEGEN_RANK": str(rank),
        "FACEGEN_RANKS": str(ranks),
        "FACEGEN_LINKS": ",".join(f"{n}:{os.fstat(n).st_ino}" for n in descriptors),
        "PYTHONUNBUFFERED": "1",
    }
    output = None if raw else subprocess.PIPE
    return subprocess.Popen(
        command,
        env=environment,
        stdin=None if rank == 0 else subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        pass_fds=descriptors,
        start_new_session=True,  # a Ctrl-C at the terminal reaches them through this process alone
    )


def _wait(children: Sequence[subprocess.Popen[bytes]], raw: bool) -> int:
    signals: list[int] = []
    errors: list[OSError] = []

    def pass_on(number: int, frame: object) -> None:
        signals.append(number)
        children[0].send_signal(number)  # the others end with it

    before = {number: signal.signal(number, pass_on) for number in (signal.SIGINT, signal.SIGTERM)}
    copies = [
        threading.Thread(target=_copy, args=(rank, stream, target, errors), daemon=True)
        for rank, child in enumerate(children)
        for stream, target in ((child.stdout, sys.stdout), (child.stderr, sys.stderr))
        if stream is not None
    ]
    watches = [
        threading.Thread(target=_watch, args=(rank, child), daemon=True)
        for rank, child in enumerate(children)
    ]
    for thread in (*copies, *watches):
        thread.start()
    try:
        code = children[0].wait()
        for child in children[1:]:
            if signals:
                child.terminate()
            try:
                child.wait(_END_SECONDS)
            except subprocess.TimeoutExpired:
                child.kill()
        for thread in (*watches, *copies):
            thread.join(_END_SECONDS)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if errors:
        raise errors[0]
    return code if code >= 0 else 128 - code


_output_lock = threading.Lock()


def _copy(rank: int, stream: IO[bytes], target: IO[str], errors: list[OSError]) -> None:
    """Copy lines of a rank, with its number; where nobody takes them, the rank learns of it."""
    try:
        with stream:
            for line in stream:
                with _output_lock:
                    target.write(f"[{rank}] {line.decode(errors='backslashreplace')}")
                    target.flush()
    except OSError as error:
        errors.append(error)


def _watch(rank: int, child: subprocess.Popen[bytes]) -> None:
    """Report a rank that dies."""
    code = child.wait()
    if code < 0:
        with _output_lock:
            name = signal.Signals(-code).name
            print(f"facegen: rank {rank} was killed by {name}", file=sys.stderr, flush=True)


def _processors() -> list[int]:
    """Processors that this process may use, by package and core: neighbours share them."""

    def place(cpu: int) -> tuple[int, int, int]:
        folder = Path(f"/sys/devices/system/cpu/cpu{cpu}/topology")
        try:
            package = int((folder / "physical_package_id").read_text())
            return package, int((folder / "core_id").read_text()), cpu
        except (OSError, ValueError):
            return 0, cpu, cpu

    return sorted(system.processors(), key=place)
