"""Bodies: slow ones, unfinished ones, too many, and large pictures in them."""

from __future__ import annotations

import io
import os
import time
from http.client import HTTPResponse
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("starlette", reason="Starlette (the extra [serve]) is not installed")
pytest.importorskip("uvicorn", reason="uvicorn (the extra [serve]) is not installed")

from PIL import Image
from running import HALF_HEAD, IMAGE, WATCHDOG, Running, answer_of, is_closed

from facegen.photos.encode import encode
from facegen.serve import connection, incoming, uploads
from facegen.serve.models import Models


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


def test_what_is_kept_of_16_bits_counts_twice() -> None:
    room = incoming.Incoming()
    deep, plain = (encode(np.zeros((30, 20, 3), kind), "a.png") for kind in (np.uint16, np.uint8))
    for data, keep_depth, pixels in (
        (deep, True, 1200), (deep, False, 600), (plain, True, 600),
    ):  # fmt: skip
        with room.decoded(lambda data=data: data, keep_depth) as photo:
            assert (photo.deep is not None) == (pixels == 1200)
            assert room.pixels == pixels
        assert room.pixels == 0
