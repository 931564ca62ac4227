"""`parallel.run` on real ranks: every one a process, connected by sockets or MPI."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from launchers import LAUNCHERS, run_ranks

from facegen import parallel
from facegen.parallel.links import QueueLink
from facegen.parallel.loop import WINDOW_OF_A_RANK
from facegen.parallel.worker import END, work

JOB = Path(__file__).with_name("job.py")


def job(launcher: str, ranks: int, count: int, mode: str, folder: Path) -> dict[str, Any]:
    result = run_ranks(launcher, ranks, [JOB, count, mode], folder)
    assert result.returncode == 0 and "Traceback" not in result.stderr, result.stderr
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def check_complete(found: dict[str, Any], count: int) -> Counter[int]:
    """All results, in order; gives how many each rank computed."""
    assert found["error"] == ""
    expected = [[i, 3000.0 * i * i] for i in range(count)]
    assert [result[:2] for result in found["results"]] == expected
    return Counter(rank for *_, rank in found["results"])


def test_one_process() -> None:
    results: list[int] = []
    seconds = parallel.run(range(10), lambda i: i + 1, results.append, lambda i: 2 * i)
    assert results == [2 * (i + 1) for i in range(10)] and seconds >= 0


@pytest.mark.parametrize("beside", [True, False])
def test_encode_runs_beside_or_after(beside: bool) -> None:
    threads: list[int] = []

    def in_thread(item: int) -> int:
        threads.append(threading.get_ident())
        return item + 1

    results: list[int] = []
    parallel.run(range(3), in_thread, results.append, in_thread, beside=beside)
    assert results == [2, 3, 4] and len(set(threads)) == (2 if beside else 1)


@pytest.mark.parametrize("launcher", LAUNCHERS)
@pytest.mark.parametrize(("ranks", "count"), [(1, 5), (3, 40), (3, 2), (2, 0)])
def test_order_is_kept(launcher: str, ranks: int, count: int, tmp_path: Path) -> None:
    check_complete(job(launcher, ranks, count, "plain", tmp_path), count)


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_a_slow_rank_does_less(launcher: str, tmp_path: Path) -> None:
    found = job(launcher, 2, 100, "slow 0", tmp_path)
    done = check_complete(found, 100)
    assert 0 < done[0] < done[1]
    assert found["ahead"] <= 2 * WINDOW_OF_A_RANK + 1
    assert found["seconds"] >= 0.02 * done[0]  # the rank that computed longest


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_an_exception_of_any_rank_is_raised_in_rank_0(launcher: str, tmp_path: Path) -> None:
    found = job(launcher, 3, 40, "fail 7", tmp_path)
    assert found["error"] == "ArithmeticError: item 7"
    assert [number for number, *_ in found["results"]] == list(range(len(found["results"])))
    assert len(found["results"]) <= 7


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_what_cannot_be_written_ends_the_run(launcher: str, tmp_path: Path) -> None:
    found = job(launcher, 2, 1000, "sink", tmp_path)
    assert found["error"] == "OSError: the disk is full" and len(found["results"]) == 2


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_what_cannot_be_pickled_is_refused(launcher: str, tmp_path: Path) -> None:
    found = job(launcher, 2, 3, "lambda", tmp_path)
    assert found["error"].startswith("FacegenError: what ranks compute must be picklable")


def test_chunks_of_a_killed_rank_are_done_by_others(tmp_path: Path) -> None:
    result = run_ranks("launch", 3, [JOB, 60, "kill 1"], tmp_path)
    assert result.returncode == 0, result.stderr
    done = check_complete(json.loads(result.stdout), 60)
    assert done[1] <= 2 and done[0] > 0 and done[2] > 0
    assert "rank 1 is gone" in result.stderr and "killed by SIGKILL" in result.stderr


def test_rank_0_killed_ends_the_run(tmp_path: Path) -> None:
    result = run_ranks("launch", 2, [JOB, 60, "kill 0"], tmp_path)
    assert result.returncode == 128 + 9 and result.stdout == ""
    assert "rank 0 was killed by SIGKILL" in result.stderr


@pytest.mark.parametrize("launcher", LAUNCHERS[1:])
def test_a_killed_rank_ends_a_run_of_mpi(launcher: str, tmp_path: Path) -> None:
    result = run_ranks(launcher, 3, [JOB, 60, "kill 1"], tmp_path)
    assert result.returncode != 0


@pytest.mark.parametrize("launcher", LAUNCHERS[1:])
@pytest.mark.parametrize("rank", [0, 1])
def test_a_rank_that_is_silent_ends_a_run_of_mpi(
    launcher: str, rank: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one whose machine or network failed: MPI itself would wait for ever."""
    monkeypatch.setenv("FACEGEN_MPI_TIMEOUT", "1")
    result = run_ranks(launcher, 2, [JOB, 60, f"stop {rank}"], tmp_path)
    assert result.returncode != 0 and result.stdout == ""
    seconds = 2 if rank == 0 else 1  # who waits for rank 0 waits for longer
    assert f"facegen: error: rank {rank} was not heard of for {seconds} seconds" in result.stderr


@pytest.mark.parametrize("launcher", LAUNCHERS[1:])
def test_a_rank_that_computes_for_long_is_heard(
    launcher: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACEGEN_MPI_TIMEOUT", "2")
    check_complete(job(launcher, 2, 2, "sleep 1", tmp_path), 2)


@pytest.mark.parametrize("launcher", LAUNCHERS[1:])
def test_the_longest_silence_is_a_number(
    launcher: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACEGEN_MPI_TIMEOUT", "soon")
    result = run_ranks(launcher, 2, [JOB, 4, "plain"], tmp_path)
    assert result.returncode != 0 and "expected a number of seconds, found 'soon'" in result.stderr


def test_what_encode_gives_bit_by_bit_is_made_while_it_is_written() -> None:
    order: list[str] = []

    def pieces(count: int) -> Iterator[int]:
        for i in range(count):
            order.append(f"made {i}")
            yield i

    def write(made: Iterator[int]) -> None:
        order.extend(f"written {i}" for i in made)

    parallel.run([2, 1], lambda count: count, write, pieces)
    two = ["made 0", "written 0", "made 1", "written 1"]
    assert order == [*two, "made 0", "written 0"]


@pytest.mark.parametrize("beside", [True, False])
def test_a_rank_s_answer_is_whole(beside: bool) -> None:
    near, far = QueueLink.pair()
    worker = threading.Thread(target=work, args=(far, range, iter, beside))
    worker.start()
    near.send((0, 3))
    assert near.receive()[0] == (0, [0, 1, 2])
    near.send((END, None))
    near.receive()
    worker.join()
