"""Ranks that meet without MPI: what they say, and what becomes of those who are left."""

from __future__ import annotations

import json
import socket
import struct
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from facegen.errors import FacegenError
from facegen.launchers import Place
from facegen.train import meet as meeting
from facegen.train import ranks as train_ranks
from facegen.train.ranks import Ranks
from parallel.launchers import run_as_torchrun, run_ranks

JOB = Path(__file__).parent / "star_job.py"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def variables(port: int) -> dict[str, str]:
    return {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}


def meet_all(size: int, seconds: float = 10.0) -> list[Ranks]:
    """All ranks, within this process."""
    where = variables(free_port())
    with ThreadPoolExecutor(size) as pool:
        places = [Place(rank, size, rank, size, "torchrun") for rank in range(size)]
        return [
            Ranks(c) for c in pool.map(lambda place: meeting.meet(place, where, seconds), places)
        ]


def on_all(ranks: list[Ranks], ask: object) -> list[object]:
    with ThreadPoolExecutor(len(ranks)) as pool:
        return list(pool.map(ask, ranks))  # type: ignore[arg-type]


def test_what_ranks_say() -> None:
    ranks = meet_all(3)
    assert [(r.rank, r.size) for r in ranks] == [(0, 3), (1, 3), (2, 3)] and ranks[0].first
    array = np.arange(300_000.0)  # more than a socket takes at once
    told = on_all(ranks, lambda r: r.told(array if r.first else None))
    assert all(np.array_equal(each, array) for each in told)  # type: ignore[arg-type]
    assert on_all(ranks, lambda r: r.all([r.rank, "x"])) == [[[0, "x"], [1, "x"], [2, "x"]]] * 3
    assert on_all(ranks, lambda r: r.any(r.rank == 2)) == [True] * 3
    assert on_all(ranks, lambda r: r.any(False)) == [False] * 3
    assert on_all(ranks, lambda r: r.first_word(f"of {r.rank}" if r.rank else None)) == ["of 1"] * 3
    on_all(ranks, lambda r: r.close())
    with pytest.raises(FacegenError, match="rank 0 has ended before the others"):
        ranks[1].told(None)


def test_ranks_without_mpi_are_of_gpus() -> None:
    ranks = meet_all(2)
    with pytest.raises(FacegenError, match="those of torchrun and facegen launch train on GPUs"):
        ranks[0].require_messages()
    on_all(ranks, lambda r: r.close())
    environment = {"RANK": "0", "WORLD_SIZE": "2"}
    with (
        pytest.raises(FacegenError, match="asynchronous training takes mpirun or srun"),
        train_ranks.join(environment, asynchronous=True),
    ):
        pass


def test_who_is_no_rank_is_not_let_in() -> None:
    """A stranger, ranks that there are not, and one that says nothing."""
    port = free_port()
    place = Place(0, 2, 0, 2, "torchrun")
    with ThreadPoolExecutor(2) as pool:
        root = pool.submit(meeting.meet, place, variables(port), 20.0)
        for words in (b"GET / HTTP/1.1\r\n\r\n", hello(0, 2), hello(7, 2), b"", None):
            stranger = dial(port)
            if words is None:
                stranger.close()
                continue
            stranger.sendall(words or struct.pack(">cQ", b"m", 1 << 40))
            with suppress(ConnectionResetError):
                assert stranger.recv(1) == b""  # it was closed
        other = pool.submit(meeting.meet, Place(1, 2, 1, 2, "torchrun"), variables(port), 20.0)
        ranks = [Ranks(root.result()), Ranks(other.result())]
    assert on_all(ranks, lambda r: r.all(r.rank)) == [[0, 1]] * 2
    on_all(ranks, lambda r: r.close())


@pytest.mark.parametrize(("rank", "size"), [(1, 3), (4, 5)])
def test_ranks_of_unequal_numbers_find_out_at_once(rank: int, size: int) -> None:
    port = free_port()
    begin = time.monotonic()
    with ThreadPoolExecutor(2) as pool:
        root = pool.submit(meeting.meet, Place(0, 2, 0, 2, "torchrun"), variables(port), 60.0)
        place = Place(rank, size, rank, size, "torchrun")
        other = pool.submit(meeting.meet, place, variables(port), 60.0)
        told = f"rank 0 was started as one of 2, and rank {rank} as one of {size}: WORLD_SIZE"
        with pytest.raises(FacegenError, match=told):
            root.result()
        told = f"rank {rank} was started as one of {size}, and rank 0 as one of 2: WORLD_SIZE"
        with pytest.raises(FacegenError, match=told):
            other.result()
    assert time.monotonic() - begin < 30


def test_an_address_that_is_no_hosts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meeting, "_NAME_SECONDS", 0.1)
    where = {"MASTER_ADDR": "no-such-host.invalid", "MASTER_PORT": "29500"}
    for rank, told in (
        (1, "MASTER_ADDR 'no-such-host.invalid' is no host's name or address: "),
        (0, "rank 0 cannot listen at no-such-host.invalid:29500: "),
    ):
        with pytest.raises(FacegenError, match=told):
            meeting.meet(Place(rank, 2, rank, 2, "torchrun"), where, 60.0)


@pytest.mark.parametrize(
    ("code", "waits"), [(socket.EAI_NONAME, False), (socket.EAI_AGAIN, True)]
)
def test_that_a_name_is_unknown_is_final_that_nobody_answers_is_not(
    monkeypatch: pytest.MonkeyPatch, code: int, waits: bool
) -> None:
    asked = []

    def ask(*given: object, **more: object) -> socket.socket:
        asked.append(given)
        raise socket.gaierror(code, "no answer")

    monkeypatch.setattr(meeting.socket, "create_connection", ask)
    monkeypatch.setattr(meeting, "_NAME_SECONDS", 0.2)
    where = {"MASTER_ADDR": "nobody", "MASTER_PORT": "29500"}
    with pytest.raises(FacegenError, match="MASTER_ADDR 'nobody' is no host's name or address: no"):
        meeting.meet(Place(1, 2, 1, 2, "torchrun"), where, 60.0)
    assert (len(asked) > 1) is waits


def test_who_is_waited_for_is_said_once(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(meeting, "_QUIET_SECONDS", 0.05)
    port = free_port()
    for rank, whom in (
        (0, f"ranks 1, 2 of 3 at 127.0.0.1:{port}"),
        (1, f"rank 0 at 127.0.0.1:{port}"),
    ):
        with pytest.raises(FacegenError, match="in time|cannot be reached"):
            meeting.meet(Place(rank, 3, rank, 3, "torchrun"), variables(port), 0.3)
        assert capfd.readouterr().err == f"facegen: waiting for {whom}, 0 s more at the most\n"


def test_what_listens_there_is_no_rank() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor(1) as pool:
        place = Place(1, 2, 1, 2, "torchrun")
        met = pool.submit(meeting.meet, place, variables(server.getsockname()[1]), 20.0)
        connection, _ = server.accept()
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n")
        connection.close()
        with pytest.raises(FacegenError, match="what listens at .* is no rank 0"):
            met.result()


def hello(rank: int, size: int) -> bytes:
    text = json.dumps({"facegen rank": rank, "of": size}).encode()
    return struct.pack(">cQ", b"m", len(text)) + text


def dial(port: int) -> socket.socket:
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=5.0)
        except OSError:
            time.sleep(0.01)


def test_who_does_not_come_is_named() -> None:
    place = Place(0, 3, 0, 3, "torchrun")
    with pytest.raises(FacegenError, match=r"of 3 ranks 1, 2 did not come to 127.0.0.1:\d+ in"):
        meeting.meet(place, variables(free_port()), 0.1)
    port = free_port()
    with pytest.raises(FacegenError, match=rf"rank 0 cannot be reached at 127.0.0.1:{port}: "):
        meeting.meet(Place(1, 3, 1, 3, "torchrun"), variables(port), 0.1)


def listening_below_a_free_port() -> socket.socket:
    """Other tests listen somewhere, too."""
    while True:
        server = socket.create_server(("127.0.0.1", 0))
        try:
            socket.create_server(("127.0.0.1", server.getsockname()[1] + 1)).close()
        except (OSError, OverflowError):
            server.close()
        else:
            return server


def test_a_port_that_is_taken() -> None:
    """torchrun's own agent has the port that it announces: the next one is taken then."""
    with listening_below_a_free_port() as server:
        port = server.getsockname()[1]
        with pytest.raises(FacegenError, match=f"rank 0 cannot listen at 127.0.0.1:{port}: "):
            meeting.meet(Place(0, 2, 0, 2, "torchrun"), variables(port), 0.1)
        agent = variables(port) | {"TORCHELASTIC_USE_AGENT_STORE": "True"}
        with pytest.raises(FacegenError, match=f"did not come to 127.0.0.1:{port + 1} in time"):
            meeting.meet(Place(0, 2, 0, 2, "torchrun"), agent, 0.1)


@pytest.mark.parametrize(
    "where", [{}, {"MASTER_ADDR": "127.0.0.1"}, variables(0), variables(70000)]
)
def test_where_ranks_meet_must_be_said(where: dict[str, str]) -> None:
    with pytest.raises(FacegenError, match="takes MASTER_ADDR and MASTER_PORT, where they meet"):
        meeting.meet(Place(0, 2, 0, 2, "torchrun"), where)


def run(launcher: str, mode: str, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [JOB, mode]
    if launcher == "torchrun":
        return run_as_torchrun(3, command, folder)
    return run_ranks(launcher, 3, command, folder)


@pytest.mark.parametrize("launcher", ["torchrun", "launch"])
def test_ranks_of_a_launcher(launcher: str, tmp_path: Path) -> None:
    result = run(launcher, "plain", tmp_path)
    assert result.returncode == 0, result.stderr
    assert sorted(result.stdout.split()) == ["0:3", "1:3", "2:3"]


@pytest.mark.parametrize("launcher", ["torchrun", "launch"])
@pytest.mark.parametrize(
    ("mode", "says"),
    [
        ("fail 0", "facegen: error: rank 0: the disk is full"),
        ("fail 2", "facegen: error: rank 2: the disk is full"),
        ("kill 0", "facegen: error: rank 0 is gone"),
        ("kill 2", "facegen: error: rank 2 is gone"),
    ],
)
def test_a_rank_that_ends_ends_the_others_with_a_line(
    launcher: str, mode: str, says: str, tmp_path: Path
) -> None:
    """Who is left waits for a GPU: a call that nothing interrupts."""
    begin = time.monotonic()
    result = run(launcher, mode, tmp_path)
    assert result.returncode != 0 and time.monotonic() - begin < 60
    lines = [line for line in result.stderr.splitlines() if "was killed by" not in line]
    assert lines == [says]


def test_of_all_ranks_one_says_what_all_know(tmp_path: Path) -> None:
    result = run("torchrun", "all", tmp_path)
    assert result.returncode == 1
    assert result.stderr.count("FacegenError: all know it\n") == 1


def test_threads_end_with_the_ranks() -> None:
    before = threading.active_count()
    on_all(meet_all(2), lambda r: r.close())
    deadline = time.monotonic() + 5
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert threading.active_count() <= before
