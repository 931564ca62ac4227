"""Work that is given up: what nobody waits for any more is not begun, or stops."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from http.client import HTTPResponse
from typing import Any

import numpy as np
import pytest

pytest.importorskip("starlette", reason="Starlette (the extra [serve]) is not installed")
pytest.importorskip("uvicorn", reason="uvicorn (the extra [serve]) is not installed")

from clients import png
from PIL import Image
from running import IMAGE, WATCHDOG, Running
from stand_ins import Reddish

from facegen.serve.models import Models
from facegen.serve.places import AT_ONCE, LOOK_SECONDS


def test_what_nobody_waits_for_any_more_is_not_computed(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on, begun = threading.Event(), []

    def wait(faces: Any, points: Any, check: Any) -> np.ndarray:
        begun.append(points)
        assert go_on.wait(WATCHDOG)
        return np.zeros((1, 64, 64, 3), np.uint8)

    monkeypatch.setattr("facegen.serve.faces.Faces.images", wait)
    request = b"GET /api/face.png HTTP/1.1\r\nHost: localhost\r\n\r\n"
    clients = [running.connect(request) for _ in range(10)]
    deadline = time.monotonic() + WATCHDOG
    while running.app.state.places.taken < 10 and time.monotonic() < deadline:
        time.sleep(0.01)
    for client in clients[1:]:
        client.close()
    time.sleep(0.3)  # for the server to see it
    go_on.set()
    assert HTTPResponse(clients[0]).begin() is None
    while running.app.state.places.taken and time.monotonic() < deadline:
        time.sleep(0.01)
    assert len(begun) <= AT_ONCE
    clients[0].close()


@pytest.mark.parametrize(
    "address",
    [
        "wall.png?count=64&steps=11",
        "walk.png?face=seed%3D1&face=seed%3D2&frames=96",
        "walk.gif?face=seed%3D1&face=seed%3D2&face=seed%3D3&face=seed%3D4&face=seed%3D5",
        "faces.png?count=64",
    ],
)
def test_faces_stop_between_batches(
    running: Running, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    """Of what is many batches, one was begun when the client went away."""
    begun, go_on = threading.Event(), threading.Event()
    computed: list[int] = []

    def images(generator: Any, latents: np.ndarray) -> np.ndarray:
        computed.append(len(latents))
        begun.set()
        assert go_on.wait(WATCHDOG)
        return np.zeros((len(latents), 64, 64, 3), np.uint8)

    monkeypatch.setattr("facegen.Generator.images", images)
    client = running.connect(f"GET /api/{address} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    assert begun.wait(WATCHDOG)
    client.close()
    time.sleep(10 * LOOK_SECONDS)  # for the server to see it
    go_on.set()
    until_idle(running)
    assert len(computed) == 1


def test_a_photo_stops_between_bands(models: Models) -> None:
    """Colours at full size are given up while they are computed, by a client that sent a photo."""
    begun, go_on = threading.Event(), threading.Event()
    bands: list[int] = []

    class InBands(Reddish):
        def finish(self, pixels: np.ndarray, *_: Any, advance: Any, **__: Any) -> np.ndarray:
            for band in range(100):
                bands.append(band)
                begun.set()
                assert go_on.wait(WATCHDOG)
                advance(1)
            return pixels

    running = Running(replace(models, colorizer=InBands()))  # type: ignore[arg-type]
    photo = png(Image.new("RGB", (40, 30)))
    head = b"POST /api/colorize HTTP/1.1\r\nHost: localhost\r\n" + IMAGE
    client = running.connect(head, b"Content-Length: %d\r\n\r\n" % len(photo), photo)
    assert begun.wait(WATCHDOG)
    client.close()
    time.sleep(10 * LOOK_SECONDS)
    go_on.set()
    until_idle(running)
    running.stop()
    assert len(bands) == 1


def test_what_somebody_waits_for_is_finished(running: Running) -> None:
    status, gif = running.get("/api/walk.gif?face=seed%3D1&face=seed%3D2&face=seed%3D3")
    assert status == 200 and gif[:4] == b"GIF8"


def until_idle(running: Running) -> None:
    """Wait until no thread computes."""
    deadline = time.monotonic() + WATCHDOG
    while running.app.state.places.busy:
        assert time.monotonic() < deadline
        time.sleep(0.01)
