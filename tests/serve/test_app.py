"""The application as a whole, and the addresses of work that is one request."""

from __future__ import annotations

import asyncio
import io
import threading
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("starlette", reason="Starlette (the extra [serve]) is not installed")
pytest.importorskip("httpx", reason="httpx (the extra [test]) is not installed")

from clients import IMAGE, LOCAL, WHO_STAYS, pixels, png
from PIL import Image, ImageDraw
from starlette.testclient import TestClient

from facegen import Generator
from facegen.serve import app as serve_app
from facegen.serve import one_shot_api
from facegen.serve.app import create_app
from facegen.serve.models import Models
from facegen.serve.places import Check, Places
from files import odd_picture


def test_the_page_and_its_parts(client: TestClient) -> None:
    page = client.get("/")
    assert page.status_code == 200 and "<title>facegen</title>" in page.text
    folder = Path(serve_app.__file__).parent / "static"
    for file in folder.iterdir():
        assert client.get(f"/static/{file.name}").status_code == 200
    for name in ("main.js", "base.css", "faces.css", "paper.css", "photos.css"):
        assert f"static/{name}" in page.text
    info = client.get("/api/info").json()
    assert all(info[part] for part in ("faces", "draw", "colorize", "segment", "digits"))
    assert (info["sliders"], info["reach"], info["side"]) == (["smile", "frown"], 3, 64)
    assert info["hints"] == {"draw": "a better one: ..."}


def test_drawings(client: TestClient) -> None:
    drawing = Image.new("RGBA", (256, 256), (0, 0, 0, 0))
    drawing.paste((0, 0, 0, 255), (10, 20, 30, 40))
    result = pixels(client.post("/api/draw", content=png(drawing), headers=IMAGE))
    assert (result[20:40, 10:30] == 255).all() and (result[50:] == 0).all()  # of white paper
    small = pixels(client.post("/api/draw", content=png(Image.new("L", (3, 5))), headers=IMAGE))
    assert small.shape == (256, 256, 3)


def test_photos(client: TestClient) -> None:
    photo = png(Image.new("L", (300, 20), 7))
    result = pixels(client.post("/api/colorize?strength=0.5", content=photo, headers=IMAGE))
    assert result.shape == (20, 300, 3) and (result[0, 0] == (50, 7, 7)).all()
    response = client.post("/api/colorize?strength=3", content=photo, headers=IMAGE)
    assert response.status_code == 400


def test_digits(client: TestClient) -> None:
    paper = Image.new("L", (280, 280), 255)
    ImageDraw.Draw(paper).line([(80, 60), (200, 60), (120, 220)], 0, 20)
    response = client.post("/api/digit", content=png(paper), headers=IMAGE)
    found = response.json()
    assert response.status_code == 200 and found["digit"] == 7
    assert found["probabilities"] == [0] * 7 + [1, 0, 0]
    assert len(found["seen"]) == 28 * 28 and max(found["seen"]) == 255
    blank = client.post("/api/digit", content=png(Image.new("L", (28, 28), 255)), headers=IMAGE)
    assert blank.status_code == 400 and "expected a digit" in blank.json()["error"]


def test_segments(client: TestClient) -> None:
    response = client.post("/api/segment", content=png(Image.new("L", (40, 16))), headers=IMAGE)
    classes = Image.open(io.BytesIO(response.content))
    assert classes.mode == "P" and classes.size == (40, 16)
    assert (classes.getpixel((0, 0)), classes.getpixel((0, 15))) == (0, 15)


@pytest.mark.parametrize("address", ["/api/draw", "/api/colorize", "/api/segment", "/api/digit"])
def test_what_is_no_picture(client: TestClient, address: str) -> None:
    for content, kind, status, words in (
        (b"hello", "image/png", 400, "not a picture"),
        (b"", "image/png", 400, "not a picture"),
        (png(Image.new("RGB", (64, 64)))[:-30], "image/png", 400, "cannot be decoded"),
        (png(Image.new("RGB", (9, 9))), "text/plain", 415, "expected a picture"),
        (png(Image.new("1", (9000, 9000))), "image/png", 413, "more than 50,000,000 pixels"),
        (png(Image.new("1", (50_000_000, 1))), "image/png", 413, "more than 32,767 pixels a side"),
        (png(Image.new("1", (1, 50_000_000))), "image/png", 413, "more than 32,767 pixels a side"),
    ):
        response = client.post(address, content=content, headers={"Content-Type": kind})
        assert response.status_code == status and words in response.json()["error"]
    assert client.get(address).status_code == 405


def test_a_body_that_is_too_large(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(one_shot_api, "MAX_DRAWING_BYTES", 1000)
    response = client.post("/api/draw", content=bytes(1001), headers=IMAGE)
    assert response.status_code == 413 and response.json() == {"error": "more than 1,000 bytes"}
    # Without an announced length too, and before all of it has come.
    taken = []

    def endless():
        while len(taken) < 100:
            taken.append(1)
            yield bytes(600)

    assert client.post("/api/draw", content=endless(), headers=IMAGE).status_code == 413


def test_parts_that_are_not_offered() -> None:
    client = TestClient(create_app(Models()), LOCAL)
    assert client.get("/").status_code == 200
    info = client.get("/api/info").json()
    assert not any(info[part] for part in ("faces", "draw", "colorize", "segment", "digits"))
    for response in (
        client.get("/api/face.png"),
        client.post("/api/draw", content=b"", headers=IMAGE),
        client.post("/api/colorize", content=b"", headers=IMAGE),
        client.post("/api/segment", content=b"", headers=IMAGE),
        client.post("/api/digit", content=b"", headers=IMAGE),
        client.get("/nothing"),
        client.get("/static/../app.py"),
    ):
        assert response.status_code == 404 and "error" in response.json()


def test_too_much_work_at_once() -> None:
    """One computes, one waits, the third is sent away; then there is room again."""
    places = Places(at_once=1, waiting=1)
    go_on = threading.Event()

    def work(check: Check) -> bool:
        return go_on.wait(60)

    async def three() -> list[Any]:
        jobs = [asyncio.create_task(places.run(work, WHO_STAYS)) for _ in range(3)]
        await asyncio.sleep(0)
        asyncio.get_running_loop().call_later(0.05, go_on.set)
        results = await asyncio.gather(*jobs, return_exceptions=True)
        return [*results, await places.run(lambda check: "again", WHO_STAYS)]

    first, second, third, again = asyncio.run(three())
    assert (first, second, again) == (True, True, "again")
    assert third.status_code == 503


def test_a_failure_at_work_is_json(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(Generator, "images", lambda *_: 1 / 0)
    response = client.get("/api/face.png?seed=1")
    assert response.status_code == 500
    assert response.json() == {"error": "ZeroDivisionError: division by zero"}
    assert response.headers["x-content-type-options"] == "nosniff"
    (record,) = (record for record in caplog.records if record.name.startswith("facegen"))
    said = "facegen: error: GET /api/face.png: ZeroDivisionError: division by zero"
    assert record.getMessage() == said and record.exc_info is None


@pytest.mark.parametrize("name", ["icc-wide-sharing.jpg", "exif-junk.webp", "png-icc-method1.png"])
def test_odd_photos_are_coloured(client: TestClient, name: str) -> None:
    headers = {"Content-Type": "image/jpeg"}
    response = client.post("/api/colorize", content=odd_picture(name), headers=headers)
    assert pixels(response).shape[:2] == (48, 64)


def test_a_photo_keeps_what_it_says(client: TestClient) -> None:
    exif = Image.Exif()
    exif[0x010F] = "Box Brownie"
    file = io.BytesIO()
    Image.new("L", (30, 20), 90).save(file, "JPEG", exif=exif)
    headers = {"Content-Type": "image/jpeg"}
    response = client.post("/api/colorize", content=file.getvalue(), headers=headers)
    assert dict(Image.open(io.BytesIO(response.content)).getexif()) == {0x010F: "Box Brownie"}
