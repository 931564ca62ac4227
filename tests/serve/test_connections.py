"""Connections: many at once, and clients that do not say what they want."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

pytest.importorskip("starlette", reason="Starlette (the extra [serve]) is not installed")
pytest.importorskip("uvicorn", reason="uvicorn (the extra [serve]) is not installed")

from running import HALF_HEAD, WATCHDOG, Running, is_closed

from facegen.serve import connection


def test_two_hundred_at_once_are_all_served(running: Running) -> None:
    ready = threading.Barrier(200)

    def ask(seed: int) -> tuple[int, bytes]:
        ready.wait(WATCHDOG)
        return running.get(f"/api/face.png?seed={seed}")

    with ThreadPoolExecutor(200) as clients:
        answers = list(clients.map(ask, range(200)))
    assert [status for status, _ in answers] == [200] * 200
    assert answers[7][1] == running.get("/api/face.png?seed=7")[1]


def test_half_heads_keep_nobody_out_and_are_let_go(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = [running.connect(HALF_HEAD) for _ in range(100)]
    assert running.get("/api/info")[0] == 200
    monkeypatch.setattr(connection, "HEAD_SECONDS", 0.2)
    late = running.connect(HALF_HEAD)
    silent = running.connect()
    stop = threading.Event()

    def trickle() -> None:  # a header that grows for ever gives no more time
        try:
            while not stop.wait(0.05):
                late.sendall(b"X: y\r\n")
        except OSError:
            pass

    thread = threading.Thread(target=trickle)
    thread.start()
    assert is_closed(late) and is_closed(silent)
    stop.set()
    thread.join(WATCHDOG)
    for client in (*slow, late, silent):
        client.close()


def test_whoever_waits_longest_makes_room(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "CONNECTIONS", 20)
    slow = [running.connect(HALF_HEAD) for _ in range(20)]
    assert running.get("/api/info")[0] == 200
    assert is_closed(slow[0])
    for client in slow:
        client.close()
