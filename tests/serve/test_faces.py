"""The addresses of faces: what they answer, and what they refuse."""

from __future__ import annotations

import io
from urllib.parse import urlencode

import numpy as np
import pytest

pytest.importorskip("starlette", reason="Starlette (the extra [serve]) is not installed")
pytest.importorskip("httpx", reason="httpx (the extra [test]) is not installed")

from clients import LOCAL, pixels
from PIL import Image
from starlette.testclient import TestClient

from facegen import Generator
from facegen.networks.traits import Traits
from facegen.serve.app import create_app
from facegen.serve.models import Models


def test_a_face_is_that_of_its_seed(client: TestClient, generator: Generator) -> None:
    expected = generator.images(seeds=[17, 4])
    np.testing.assert_array_equal(pixels(client.get("/api/face.png?seed=17")), expected[0])
    # The way to a normal distribution and back costs a few roundings.
    moved = pixels(client.get("/api/face.png?seed=17&to=4&t=1"))
    assert np.abs(moved.astype(int) - expected[1]).max() <= 1
    half = pixels(client.get("/api/face.png?seed=17&to=4&t=0.5"))
    assert not np.array_equal(half, expected[0]) and not np.array_equal(half, moved)
    assert pixels(client.get("/api/face.png?seed=17&size=512")).shape == (512, 512, 3)


def test_traits_push_as_those_of_generate(
    client: TestClient, generator: Generator, traits: Traits
) -> None:
    latents = traits.move(generator.latents([3]), {"smile": 1.5})
    pushed = pixels(client.get("/api/face.png?seed=3&smile=1.5"))
    np.testing.assert_array_equal(pushed, generator.images(latents)[0])
    face = pixels(client.get("/api/face.png?seed=3"))
    assert np.abs(pushed.astype(int) - face).mean() > 1
    np.testing.assert_array_equal(pixels(client.get("/api/face.png?seed=3&frown=-1.5")), pushed)
    both = pixels(client.get("/api/face.png?seed=3&to=5&t=0&smile=1.5"))
    assert np.abs(both.astype(int) - pushed).max() <= 1


def test_the_ends_of_sliders(client: TestClient) -> None:
    ends = pixels(client.get("/api/ends.png?seed=3&smile=0.5"))
    assert ends.shape == (2 * 64, 2 * 64, 3)
    # Row 1, left: the second slider at its least, the other where it was.
    pushed = pixels(client.get("/api/face.png?seed=3&smile=0.5&frown=-3"))
    np.testing.assert_array_equal(ends[64:, :64], pushed)


def test_a_network_without_traits_has_nameless_sliders(generator: Generator) -> None:
    client = TestClient(create_app(Models(generator)), LOCAL)
    info = client.get("/api/info").json()
    assert info["sliders"] == [f"direction_{i}" for i in range(1, 9)] and info["reach"] == 1
    face = pixels(client.get("/api/face.png?seed=3"))
    pushed = pixels(client.get("/api/face.png?seed=3&direction_2=1"))
    assert np.abs(face.astype(int) - generator.images(seeds=[3])[0]).max() <= 1
    assert np.abs(pushed.astype(int) - face).mean() > 1
    ends = pixels(client.get("/api/ends.png?seed=3"))
    np.testing.assert_array_equal(ends[64:128, 64:], pushed)


def test_a_sheet_of_seeds(client: TestClient, generator: Generator) -> None:
    sheet = pixels(client.get("/api/faces.png?first=10"))
    assert sheet.shape == (3 * 64, 8 * 64, 3)
    np.testing.assert_array_equal(sheet[64:128, 128:192], generator.images(seeds=[20])[0])
    assert pixels(client.get("/api/faces.png?first=10&count=9")).shape == (2 * 64, 8 * 64, 3)


def test_a_wall_along_a_slider(client: TestClient) -> None:
    wall = pixels(client.get("/api/wall.png?first=10&count=2&along=frown&steps=3&smile=1"))
    assert wall.shape == (2 * 64, 3 * 64, 3)
    for column, amount in enumerate((-3, 0, 3)):
        face = pixels(client.get(f"/api/face.png?seed=11&smile=1&frown={amount}"))
        np.testing.assert_array_equal(wall[64:, 64 * column : 64 * column + 64], face)


def walk(*faces: str, **others: int) -> str:
    return urlencode([*(("face", face) for face in faces), *others.items()])


def test_a_walk_as_frames(client: TestClient) -> None:
    """From the first face to the last one; sliders move along."""
    sheet = pixels(client.get(f"/api/walk.png?{walk('seed=1', 'seed=2&smile=2', frames=9)}"))
    assert sheet.shape == (2 * 64, 8 * 64, 3)
    for place, query in (
        (sheet[:64, :64], "seed=1"),
        (sheet[:64, 256:320], "seed=1&to=2&t=0.5&smile=1"),
        (sheet[64:, :64], "seed=2&smile=2"),
    ):
        face = pixels(client.get(f"/api/face.png?{query}"))
        assert np.abs(place.astype(int) - face).max() <= 1


def test_a_walk_as_gif(client: TestClient) -> None:
    response = client.get(f"/api/walk.gif?{walk('seed=1', 'seed=2', 'seed=3')}")
    assert response.status_code == 200 and response.headers["content-type"] == "image/gif"
    with Image.open(io.BytesIO(response.content)) as gif:
        assert gif.size == (256, 256) and gif.n_frames == 72 and gif.info["duration"] == 50


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
        "smile=3.1",
        "smile=a",
        "frown=inf",
        "smlie=1",
    ],
)
def test_bad_numbers(client: TestClient, query: str) -> None:
    response = client.get(f"/api/face.png?{query}")
    assert response.status_code == 400
    assert response.json()["error"].startswith(query.partition("=")[0])


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("faces.png?count=65", "count: expected 1 to 64"),
        ("faces.png?count=0", "count: expected 1 to 64"),
        ("faces.png?seed=1", "seed: expected one of first, count"),
        ("wall.png?along=nose", "along: expected one of smile, frown"),
        ("wall.png?along=smile&steps=12", "steps: expected 1 to 11"),
        ("walk.png?face=seed%3D1", "face: expected 2 to 12, found 1"),
        (f"walk.gif?{walk(*['seed=1'] * 13)}", "face: expected 2 to 12, found 13"),
        (f"walk.gif?{walk('seed=1', 'seed=-5')}", "seed: expected 0 to 9007199254740991"),
        (f"walk.png?{walk('seed=1', 'seed=2', frames=97)}", "frames: expected 2 to 96"),
    ],
)
def test_what_is_refused(client: TestClient, address: str, words: str) -> None:
    response = client.get(f"/api/{address}")
    assert response.status_code == 400 and response.json()["error"].startswith(words)
