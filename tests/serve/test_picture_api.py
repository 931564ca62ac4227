"""Pictures that are sent once and asked for many things."""

from __future__ import annotations

import asyncio
import io
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

pytest.importorskip("starlette", reason="Starlette (the extra [serve]) is not installed")
pytest.importorskip("httpx", reason="httpx (the extra [test]) is not installed")

from clients import IMAGE, LOCAL, WHO_STAYS, Client, lines, pixels, png
from PIL import Image
from starlette.requests import ClientDisconnect
from starlette.testclient import TestClient

from facegen.serve import incoming, jobs, shelf, uploads
from facegen.serve.app import create_app
from facegen.serve.models import Models
from facegen.serve.places import Places


def sent(client: TestClient, data: bytes, kind: str = "image/png") -> str:
    """The address of a picture that is kept."""
    response = client.post("/api/pictures", content=data, headers={"Content-Type": kind})
    assert response.status_code == 201, response.text
    return f"/api/pictures/{response.json()['picture']}"


def test_a_file_is_read_whole_by_many_at_once() -> None:
    data = bytes(range(256)) * 8192  # on disk, not in memory
    room = incoming.Incoming()
    body = uploads.Body(room.uploads)
    body.append(png(Image.new("RGB", (4, 4))))
    kept = shelf.Kept(room, body)
    kept.put("made.png", data)
    with ThreadPoolExecutor(8) as pool:
        assert all(found == data for found in pool.map(kept.get, ["made.png"] * 64))
    kept.close()


@pytest.mark.parametrize("kind", ["TIFF", "PNG", "WEBP"])
def test_what_was_sent_is_shown_as_jpeg(client: TestClient, kind: str) -> None:
    data = png(Image.new("RGB", (60, 40), (200, 30, 90)), kind)
    picture = sent(client, data, f"image/{kind.lower()}")
    shown = pixels(client.get(f"{picture}/before.jpg"))
    assert shown.shape == (40, 60, 3) and np.abs(shown - np.array([200, 30, 90])).max() < 6


def test_heic_is_shown_too(client: TestClient) -> None:
    heif = pytest.importorskip("pillow_heif", reason="pillow-heif (extra [heif]) is not installed")
    file = io.BytesIO()
    heif.from_pillow(Image.new("RGB", (64, 48), (0, 120, 240))).save(file)
    shown = pixels(client.get(f"{sent(client, file.getvalue(), 'image/heic')}/before.jpg"))
    assert shown.shape == (48, 64, 3) and np.abs(shown - np.array([0.0, 120, 240])).max() < 12


def test_large_ones_are_shown_small_and_upright(client: TestClient) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter of a turn
    picture = sent(client, png(Image.new("L", (3200, 100), 90), "JPEG", exif=exif), "image/jpeg")
    assert pixels(client.get(f"{picture}/before.jpg")).shape == (1600, 50, 3)


def test_colours_of_any_strength_of_one_upload(client: TestClient) -> None:
    picture = sent(client, png(Image.new("L", (30, 20), 7)))
    assert client.get(f"{picture}/colour.jpg").status_code == 404  # not looked for yet
    *told, last = lines(client.post(f"{picture}/colours"))
    assert last == {"result": {}} and told[0] == {"done": 0.0, "doing": "reading the picture"}
    assert [line["done"] for line in told] == sorted(line["done"] for line in told)
    for strength in (0.5, 2.0):
        shown = pixels(client.get(f"{picture}/colour.jpg?strength={strength}"))
        assert np.abs(shown[..., 0] - 100 * strength).max() < 6
    assert client.get(f"{picture}/colour.jpg?strength=3").status_code == 400


def test_the_file_in_colour_has_the_full_size_and_what_the_photo_says(client: TestClient) -> None:
    exif = Image.Exif()
    exif[0x010F] = "Box Brownie"
    data = png(Image.new("L", (2000, 30), 9), "JPEG", exif=exif)
    picture = sent(client, data, "image/jpeg")
    lines(client.post(f"{picture}/colours"))
    assert client.get(f"{picture}/files/colour.png").status_code == 404
    *told, last = lines(client.post(f"{picture}/colour-file?strength=0.5"))
    assert last == {"result": {"files": ["colour.png"]}}
    assert {"done": 0.45, "doing": "colouring"} in told  # half of the rows
    response = client.get(f"{picture}/files/colour.png")
    assert pixels(response).shape == (30, 2000, 3) and pixels(response)[0, 0, 0] == 50
    assert dict(Image.open(io.BytesIO(response.content)).getexif()) == {0x010F: "Box Brownie"}


def test_greys_of_16_bits_stay_so(client: TestClient) -> None:
    grey = np.arange(600, dtype=np.uint16).reshape(20, 30) * 100
    picture = sent(client, png(Image.fromarray(grey), "TIFF"), "image/tiff")
    lines(client.post(f"{picture}/colours"))
    lines(client.post(f"{picture}/colour-file"))
    header = client.get(f"{picture}/files/colour.png").content[:26]
    assert (header[24], header[25]) == (16, 2)  # bits a colour, RGB
    assert pixels(client.get(f"{picture}/before.jpg")).shape == (20, 30, 3)


def test_what_was_coloured_is_shown_grey_as_before(client: TestClient) -> None:
    picture = sent(client, png(Image.new("RGB", (30, 20), (7, 7, 7))))
    lines(client.post(f"{picture}/colours"))
    lines(client.post(f"{picture}/colour-file"))
    assert pixels(client.get(f"{picture}/before.jpg")).max() < 12


def test_segments(client: TestClient) -> None:
    picture = sent(client, png(Image.new("RGB", (40, 16), (9, 9, 9))))
    result = lines(client.post(f"{picture}/segments"))[-1]["result"]
    assert result["areas"] == [
        {"name": "background", "share": 0.5, "colour": [0, 0, 0]},
        {"name": "person", "share": 0.5, "colour": [192, 128, 128]},
    ]
    overlay = Image.open(io.BytesIO(client.get(f"{picture}/files/overlay.png").content))
    assert overlay.mode == "RGBA" and overlay.getpixel((0, 0))[3] == 0
    assert overlay.getpixel((0, 15)) == (192, 128, 128, 255)
    classes = Image.open(io.BytesIO(client.get(f"{picture}/files/classes.png").content))
    assert classes.mode == "P" and classes.size == (40, 16) and classes.getpixel((0, 15)) == 15


def test_a_drawing_of_a_large_picture(client: TestClient) -> None:
    picture = sent(client, png(Image.new("RGB", (700, 300), (255, 250, 0))))
    for size, computed in (("trained", "256 x 256"), ("own", "768 x 256")):
        told = lines(client.post(f"{picture}/drawing?size={size}"))
        assert f"drawing at {computed}" in [line.get("doing") for line in told]
        drawn = pixels(client.get(f"{picture}/files/drawn.png"))
        assert drawn.shape == (300, 700, 3) and (drawn[0, 0] == (0, 5, 255)).all()
        assert pixels(client.get(f"{picture}/files/drawn.jpg")).shape == (300, 700, 3)
    assert client.post(f"{picture}/drawing?size=huge").status_code == 400


def test_what_is_no_picture(client: TestClient) -> None:
    for content, kind, status, words in (
        (b"hello", "image/png", 400, "not a picture"),
        (png(Image.new("RGB", (9, 9))), "text/plain", 415, "expected a picture"),
        (png(Image.new("1", (9000, 9000))), "image/png", 413, "more than 50,000,000 pixels"),
    ):
        response = client.post("/api/pictures", content=content, headers={"Content-Type": kind})
        assert response.status_code == status and words in response.json()["error"]
    cut = sent(client, png(Image.new("RGB", (64, 64)))[:-30])  # whose header is well
    response = client.get(f"{cut}/before.jpg")
    assert response.status_code == 400 and "cannot be decoded" in response.json()["error"]
    assert "cannot be decoded" in lines(client.post(f"{cut}/colours"))[-1]["error"]


def test_pictures_go(client: TestClient) -> None:
    picture = sent(client, png(Image.new("L", (9, 9))))
    assert client.delete(picture).status_code == 204
    for response in (client.get(f"{picture}/before.jpg"), client.post(f"{picture}/colours")):
        assert response.status_code == 404 and "send it again" in response.json()["error"]
    assert client.delete(picture).status_code == 204


def test_the_oldest_makes_room(models: Models, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shelf, "MOST_KEPT", 2)
    data = png(Image.new("L", (9, 9)))
    monkeypatch.setattr(incoming, "MAX_UPLOADS_BYTES", 3 * len(data))
    with TestClient(create_app(models), LOCAL) as client:  # one loop for all requests
        pictures = [sent(client, data) for _ in range(5)]  # whose bytes are given back
        found = [client.get(f"{picture}/before.jpg").status_code for picture in pictures]
    assert found == [404, 404, 404, 200, 200]


def test_parts_that_are_not_offered() -> None:
    client = TestClient(create_app(Models()), LOCAL)
    picture = sent(client, png(Image.new("L", (9, 9))))
    for response in (
        client.get(f"{picture}/colour.jpg"),
        client.post(f"{picture}/colours"),
        client.post(f"{picture}/colour-file"),
        client.post(f"{picture}/segments"),
        client.post(f"{picture}/drawing"),
    ):
        assert response.status_code == 404 and "without a" in response.json()["error"]


@pytest.mark.parametrize("how", ["its client goes", "its answer is closed"])
def test_work_that_nobody_waits_for_stops(how: str) -> None:
    """At the next word of it: nobody listens after the first one."""
    stopped = threading.Event()
    client: Any = Client()

    def work(tell: jobs.Tell) -> dict[str, Any]:
        try:
            for step in range(6000):
                tell(step / 6000, "begun")
                time.sleep(0.01)
        except ClientDisconnect:
            stopped.set()
            raise
        return {}

    async def ask() -> None:
        response: Any = await jobs.answer(client, Places(), work)
        said = response.body_iterator
        assert json.loads(await anext(said)) == {"done": 0.0, "doing": "begun"}
        if how == "its client goes":
            client.gone = True
        else:
            await said.aclose()
        assert await asyncio.to_thread(stopped.wait, 30)

    asyncio.run(ask())


def test_a_failure_at_work_is_told(caplog: pytest.LogCaptureFixture) -> None:
    def work(tell: jobs.Tell) -> dict[str, Any]:
        tell(0.0, "begun")
        return {"result": 1 / 0}

    async def ask() -> list[Any]:
        response: Any = await jobs.answer(WHO_STAYS, Places(), work)
        return [json.loads(line) async for line in response.body_iterator]

    assert asyncio.run(ask())[-1] == {"error": "ZeroDivisionError: division by zero"}
    assert "ZeroDivisionError" in caplog.text


def test_bodies_that_are_pictures_of_nothing(client: TestClient) -> None:
    assert client.post("/api/pictures", content=b"", headers=IMAGE).status_code == 400
