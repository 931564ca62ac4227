"""A server that is really asked, by many and by bad clients, on this machine."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("starlette", reason="Starlette (the extra [serve]) is not installed")
pytest.importorskip("uvicorn", reason="uvicorn (the extra [serve]) is not installed")

import uvicorn  # noqa: E402

from facegen.serve import connection, incoming, server, uploads  # noqa: E402
from facegen.serve.app import create_app  # noqa: E402
from facegen.serve.models import Models  # noqa: E402
from facegen.serve.places import AT_ONCE  # noqa: E402

WATCHDOG = 60.0
HALF_HEAD = b"POST /api/draw HTTP/1.1\r\nHost: localhost\r\n"
IMAGE = b"Content-Type: image/png\r\n"


class Running:
    """A server in a thread."""

    def __init__(self, models: Any) -> None:
        self.listener = socket.socket()
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(1024)
        self.port = self.listener.getsockname()[1]
        self.app = create_app(models)
        self.server = uvicorn.Server(server.settings(self.app))
        self.thread = threading.Thread(target=self.server.run, args=([self.listener],))
        self.thread.start()

    def get(self, address: str) -> tuple[int, bytes]:
        client = HTTPConnection("127.0.0.1", self.port, timeout=WATCHDOG)
        try:
            client.request("GET", address)
            answer = client.getresponse()
            return answer.status, answer.read()
        finally:
            client.close()

    def connect(self, *words: bytes) -> socket.socket:
        client = socket.create_connection(("127.0.0.1", self.port), timeout=WATCHDOG)
        client.sendall(b"".join(words))
        return client

    def stop(self) -> None:
        self.server.should_exit = True
        self.thread.join(WATCHDOG)
        assert not self.thread.is_alive()
        self.listener.close()


@pytest.fixture
def running(models: Models) -> Iterator[Running]:
    running = Running(models)
    yield running
    running.stop()


def answer_of(client: socket.socket) -> tuple[int, dict[str, str]]:
    answer = HTTPResponse(client)
    answer.begin()
    return answer.status, json.loads(answer.read())


def is_closed(client: socket.socket) -> bool:
    """Wait until the server closes it without a word."""
    try:
        return client.recv(1) == b""
    except ConnectionResetError:
        return True


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


def test_a_body_that_does_not_come(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "GRACE_SECONDS", 0.2)
    client = running.connect(HALF_HEAD, IMAGE, b"Content-Length: 1000\r\n\r\n", bytes(10))
    status, body = answer_of(client)
    assert status == 408 and "less than 32 KiB a second" in body["error"]
    assert is_closed(client)


def test_a_body_that_comes_slowly_but_well(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "GRACE_SECONDS", 1.0)
    monkeypatch.setattr(uploads, "LEAST_RATE", 100)
    # What comes with the head is worth 5 seconds, so that a busy machine is no slow client.
    client = running.connect(HALF_HEAD, IMAGE, b"Content-Length: 3000\r\n\r\n", bytes(500))
    for _ in range(5):
        time.sleep(0.25)  # 2,000 bytes a second, and more than the grace in all
        client.sendall(bytes(500))
    status, body = answer_of(client)
    assert status == 400 and "not a picture" in body["error"]


def test_a_body_after_its_answer(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is refused by its head is answered, and not listened to for ever."""
    monkeypatch.setattr(connection, "REST_SECONDS", 0.2)
    client = running.connect(HALF_HEAD, IMAGE, b"Content-Length: 99999999\r\n\r\n")
    status, body = answer_of(client)
    assert status == 413 and body["error"] == "more than 2,097,152 bytes"
    assert is_closed(client)


def test_unfinished_uploads_are_not_in_memory(running: Running) -> None:
    head = b"POST /api/colorize HTTP/1.1\r\nHost: localhost\r\n" + IMAGE
    almost = bytes(10_000_000)
    before = resident_bytes()
    clients = [
        running.connect(head, b"Content-Length: 10000001\r\n\r\n", almost) for _ in range(20)
    ]
    assert running.get("/api/info")[0] == 200
    assert resident_bytes() - before < 100_000_000
    for client in clients:
        client.sendall(b"!")
        assert answer_of(client)[0] == 400  # it was complete, and no picture
        client.close()


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_too_many_bytes_of_uploads_are_refused(models: Models) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(incoming, "MAX_UPLOADS_BYTES", 100_000)
        running = Running(models)
    head = (HALF_HEAD, IMAGE, b"Content-Length: 60000\r\n\r\n")
    first = running.connect(*head, bytes(59_999))
    deadline = time.monotonic() + WATCHDOG
    while True:  # until the first one's bytes have come
        second = running.connect(*head, bytes(60_000))
        status, body = answer_of(second)
        second.close()
        if status == 503 or time.monotonic() > deadline:
            break
    assert status == 503 and "too many uploads" in body["error"]
    first.sendall(b"!")
    assert answer_of(first)[0] == 400
    first.close()
    again = running.connect(*head, bytes(60_000))
    assert answer_of(again)[0] == 400
    again.close()
    running.stop()


def test_what_nobody_waits_for_any_more_is_not_computed(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on, begun = threading.Event(), []

    def wait(faces: Any, points: Any) -> np.ndarray:
        begun.append(points)
        assert go_on.wait(WATCHDOG)
        return np.zeros((1, 64, 64, 3), np.uint8)

    monkeypatch.setattr("facegen.serve.faces.Faces.images", wait)
    request = b"GET /api/face.png HTTP/1.1\r\nHost: localhost\r\n\r\n"
    clients = [running.connect(request) for _ in range(10)]
    deadline = time.monotonic() + WATCHDOG
    while running.app.state.places._taken < 10 and time.monotonic() < deadline:
        time.sleep(0.01)
    for client in clients[1:]:
        client.close()
    time.sleep(0.3)  # for the server to see it
    go_on.set()
    assert HTTPResponse(clients[0]).begin() is None
    while running.app.state.places._taken and time.monotonic() < deadline:
        time.sleep(0.01)
    assert len(begun) <= AT_ONCE
    clients[0].close()


PROGRAM = """
import sys, time
from facegen.__main__ import main
from facegen.cli import serve_models
from facegen.serve.models import Models
class Pix2Pix:
    def prepare(self, picture):
        return picture.pixels
    def compute(self, prepared):
        print("computes", flush=True)
        time.sleep(600)
serve_models.models_of = lambda networks, engine: Models(pix2pix=Pix2Pix())
sys.argv = ["facegen", "serve", "--port", "0"]
sys.exit(main())
"""


@pytest.fixture
def process() -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "PYTHONUNBUFFERED": "1"},
    )
    yield process
    process.kill()
    process.wait()


def connect_to(process: subprocess.Popen[str], *words: bytes) -> socket.socket:
    client = socket.create_connection(("127.0.0.1", port_of(process)), timeout=WATCHDOG)
    client.sendall(b"".join(words))
    return client


def port_of(process: subprocess.Popen[str]) -> int:
    if not hasattr(process, "port"):
        assert process.stdout is not None
        found = re.search(r":(\d+)/", process.stdout.readline())
        assert found is not None
        process.port = int(found[1])  # type: ignore[attr-defined]
    return int(process.port)


@pytest.mark.parametrize("numbers", [[signal.SIGINT], [signal.SIGTERM, signal.SIGTERM]])
def test_it_ends_while_uploads_are_unfinished(
    process: subprocess.Popen[str], numbers: list[signal.Signals]
) -> None:
    """Soon, whatever clients do; and uploads that are broken off say nothing."""
    unfinished = (HALF_HEAD, IMAGE, b"Content-Length: 1000\r\n\r\n", bytes(10))
    for _ in range(3):
        connect_to(process, *unfinished).close()
    clients = [connect_to(process, *unfinished) for _ in range(3)]
    clients.append(connect_to(process, HALF_HEAD))
    client = HTTPConnection("127.0.0.1", port_of(process), timeout=WATCHDOG)
    client.request("GET", "/api/info")
    assert client.getresponse().status == 200
    for number in numbers:
        process.send_signal(number)
        time.sleep(0.2)
    code = process.wait(WATCHDOG)
    assert process.stderr is not None
    if numbers == [signal.SIGINT]:
        assert (code, process.stderr.read()) == (0, "")
    else:
        assert (code, process.stderr.read()) == (143, "facegen: terminated\n")
    for opened in clients:
        opened.close()


def test_it_ends_while_a_picture_is_computed(process: subprocess.Popen[str]) -> None:
    picture = io.BytesIO()
    Image.new("RGB", (9, 9)).save(picture, "PNG")
    length = b"Content-Length: %d\r\n\r\n" % len(picture.getvalue())
    client = connect_to(process, HALF_HEAD, IMAGE, length, picture.getvalue())
    assert process.stdout is not None and process.stdout.readline() == "computes\n"
    process.send_signal(signal.SIGINT)
    assert process.wait(WATCHDOG) == 0
    client.close()


def test_large_photos_are_worked_on_one_after_another() -> None:
    """Two of 600 pixels, where a thousand may be in memory at a time."""
    inside: list[int] = []
    most: list[int] = []

    class Slow:
        def prepare(self, photo: Any) -> None:
            return None

        def compute(self, prepared: Any) -> list[None]:
            return prepared

        def finish(self, pixels: np.ndarray, ab: None, strength: float, **_: Any) -> np.ndarray:
            inside.append(1)
            most.append(len(inside))
            time.sleep(0.2)
            inside.pop()
            return pixels

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(incoming, "MAX_PHOTO_PIXELS", 1000)
        running = Running(Models(colorizer=Slow()))  # type: ignore[arg-type]
        picture = io.BytesIO()
        Image.new("RGB", (30, 20)).save(picture, "PNG")
        content = picture.getvalue()
        length = b"Content-Length: %d\r\n\r\n" % len(content)
        head = b"POST /api/colorize HTTP/1.1\r\nHost: localhost\r\n" + IMAGE
        clients = [running.connect(head, length, content) for _ in range(4)]
        for client in clients:
            answer = HTTPResponse(client)
            answer.begin()
            assert answer.status == 200
            client.close()
        running.stop()
    assert most == [1, 1, 1, 1]
