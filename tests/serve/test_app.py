"""The addresses of the page: what they answer, what they refuse, and to whom."""

from __future__ import annotations

import asyncio
import io
import threading
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from facegen import Generator
from facegen.networks.dcgan import latents

pytest.importorskip("starlette", reason="Starlette (the extra [serve]) is not installed")
pytest.importorskip("httpx", reason="httpx (the extra [test]) is not installed")

from starlette.testclient import TestClient  # noqa: E402

from facegen.serve import app as serve_app  # noqa: E402
from facegen.serve import guard  # noqa: E402
from facegen.serve.app import Models, create_app  # noqa: E402
from files import odd_picture  # noqa: E402

LOCAL = "http://localhost:8000"


@pytest.fixture(scope="module")
def application(models: Models) -> Any:
    return create_app(models)


@pytest.fixture
def client(application: Any, monkeypatch: pytest.MonkeyPatch) -> TestClient:
    monkeypatch.setattr(guard._Bucket, "take", lambda bucket: True)  # tests are quick
    return TestClient(application, LOCAL, raise_server_exceptions=False)


def pixels(response: Any) -> np.ndarray:
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "image/png"
    return np.asarray(Image.open(io.BytesIO(response.content)))


def png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def test_the_page_and_its_parts(client: TestClient) -> None:
    page = client.get("/")
    assert page.status_code == 200 and "<title>facegen</title>" in page.text
    for name in ("main.js", "faces.js", "draw.js", "colorize.js", "api.js", "style.css"):
        assert name in page.text or name.endswith(".js")
        assert client.get(f"/static/{name}").status_code == 200
    info = client.get("/api/info").json()
    assert info["faces"] and info["draw"] and info["colorize"] and info["directions"] == 8


def test_a_face_is_that_of_its_seed(client: TestClient, generator: Generator) -> None:
    expected = generator.images(latents([17, 4]))
    face = pixels(client.get("/api/face.png?seed=17"))
    # The way to a normal distribution and back costs a few roundings.
    assert np.abs(face.astype(int) - expected[0]).max() <= 1
    moved = pixels(client.get("/api/face.png?seed=17&to=4&t=1"))
    assert np.abs(moved.astype(int) - expected[1]).max() <= 1
    half = pixels(client.get("/api/face.png?seed=17&to=4&t=0.5"))
    assert not np.array_equal(half, face) and not np.array_equal(half, moved)
    assert pixels(client.get("/api/face.png?seed=17&size=512")).shape == (512, 512, 3)


def test_directions_push_and_come_back(client: TestClient) -> None:
    face = pixels(client.get("/api/face.png?seed=3"))
    np.testing.assert_array_equal(pixels(client.get("/api/face.png?seed=3&d=0,0,0")), face)
    ends = pixels(client.get("/api/ends.png?seed=3&d=0,0.5"))
    assert ends.shape == (8 * 64, 2 * 64, 3)
    # Row 2, right: the third slider at 1, the others where they were.
    pushed = pixels(client.get("/api/face.png?seed=3&d=0,0.5,1"))
    np.testing.assert_array_equal(ends[128:192, 64:], pushed)
    assert np.abs(pushed.astype(int) - face).mean() > 1


def test_a_sheet_of_seeds(client: TestClient, generator: Generator) -> None:
    sheet = pixels(client.get("/api/faces.png?first=10"))
    assert sheet.shape == (3 * 64, 8 * 64, 3)
    np.testing.assert_array_equal(sheet[64:128, 128:192], generator.images(latents([20]))[0])


@pytest.mark.parametrize(
    "query",
    [
        "seed=-1",
        "seed=x",
        "seed=1e3",
        "seed=9007199254740992",
        "seed=" + "9" * 5000,
        "seed=%D9%A3",  # a digit, but not one of ours
        "to=-1",
        "t=2",
        "t=nan",
        "t=",
        "size=63",
        "size=65",
        "d=1,2",
        "d=a",
        "d=inf",
        "d=" + ",".join(["0"] * 9),
    ],
)
def test_bad_numbers(client: TestClient, query: str) -> None:
    response = client.get(f"/api/face.png?{query}")
    assert response.status_code == 400
    assert response.json()["error"].startswith(query.partition("=")[0])


def test_drawings(client: TestClient) -> None:
    drawing = Image.new("RGBA", (256, 256), (0, 0, 0, 0))
    drawing.paste((0, 0, 0, 255), (10, 20, 30, 40))
    result = pixels(client.post("/api/draw", content=png(drawing), headers=IMAGE))
    assert (result[20:40, 10:30] == 255).all() and (result[50:] == 0).all()  # of white paper
    small = pixels(client.post("/api/draw", content=png(Image.new("L", (3, 5))), headers=IMAGE))
    assert small.shape == (256, 256, 3)


IMAGE = {"Content-Type": "image/png"}


def test_photos(client: TestClient) -> None:
    photo = png(Image.new("L", (300, 20), 7))
    result = pixels(client.post("/api/colorize?strength=0.5", content=photo, headers=IMAGE))
    assert result.shape == (20, 300, 3) and (result[0, 0] == (50, 7, 7)).all()
    response = client.post("/api/colorize?strength=3", content=photo, headers=IMAGE)
    assert response.status_code == 400


@pytest.mark.parametrize("address", ["/api/draw", "/api/colorize"])
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
    monkeypatch.setattr(serve_app, "MAX_DRAWING_BYTES", 1000)
    response = client.post("/api/draw", content=bytes(1001), headers=IMAGE)
    assert response.status_code == 413 and response.json() == {"error": "more than 1,000 bytes"}
    # Without an announced length too, and before all of it has come.
    taken = []

    def endless():
        while len(taken) < 100:
            taken.append(1)
            yield bytes(600)

    assert client.post("/api/draw", content=endless(), headers=IMAGE).status_code == 413


def test_parts_that_are_not_offered(monkeypatch: pytest.MonkeyPatch) -> None:
    client = TestClient(create_app(Models()), LOCAL)
    assert client.get("/").status_code == 200
    assert client.get("/api/info").json()["faces"] is False
    for response in (
        client.get("/api/face.png"),
        client.post("/api/draw", content=b"", headers=IMAGE),
        client.post("/api/colorize", content=b"", headers=IMAGE),
        client.get("/nothing"),
        client.get("/static/../app.py"),
    ):
        assert response.status_code == 404 and "error" in response.json()


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Host": "127.0.0.1:9000"}, 200),  # an SSH tunnel
        ({"Host": "[::1]:8000"}, 200),
        ({"Origin": LOCAL}, 200),
        ({"Sec-Fetch-Site": "same-origin"}, 200),
        ({"Host": "evil.example"}, 403),  # a name that points to this machine
        ({"Host": "localhost.evil.example:8000"}, 403),
        ({"Host": "[::1"}, 403),
        ({"Host": ""}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "http://localhost:3000"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
    ],
)
def test_who_may_ask(client: TestClient, headers: dict[str, str], status: int) -> None:
    response = client.get("/api/info", headers=headers)
    assert response.status_code == status
    assert ("error" in response.json()) == (status == 403)
    assert response.headers["cross-origin-resource-policy"] == "same-origin"
    assert "default-src 'self'" in response.headers["content-security-policy"]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Time as the guard sees it: it stands still."""
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(guard, "time", SimpleNamespace(monotonic=lambda: clock.now))
    return clock


def test_too_many_requests(clock: SimpleNamespace) -> None:
    bucket = guard.Guard(create_app(Models()), per_second=10, burst=3)
    client = TestClient(bucket, LOCAL)
    assert [client.get("/api/info").status_code for _ in range(4)] == [200, 200, 200, 429]
    refused = client.get("/api/info")
    assert "too many requests" in refused.json()["error"] and refused.headers["retry-after"] == "1"
    clock.now += 0.1
    assert [client.get("/api/info").status_code for _ in range(2)] == [200, 429]


def test_the_bucket_fills_again(clock: SimpleNamespace) -> None:
    bucket = guard._Bucket(per_second=10, burst=2)
    assert [bucket.take() for _ in range(3)] == [True, True, False]
    clock.now += 0.15
    assert [bucket.take() for _ in range(2)] == [True, False]
    clock.now += 100
    assert [bucket.take() for _ in range(3)] == [True, True, False]


def test_too_much_work_at_once() -> None:
    """One computes, one waits, the third is sent away; then there is room again."""
    places = serve_app._Places(at_once=1, waiting=1)
    go_on = threading.Event()

    async def three() -> list[Any]:
        jobs = [asyncio.create_task(places.run(go_on.wait)) for _ in range(3)]
        await asyncio.sleep(0)
        asyncio.get_running_loop().call_later(0.05, go_on.set)
        results = await asyncio.gather(*jobs, return_exceptions=True)
        return [*results, await places.run(lambda: "again")]

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
