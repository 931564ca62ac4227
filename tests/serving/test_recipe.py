"""The service of docs/serving.md."""

from __future__ import annotations

import importlib.util
import io
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image

import facegen
from facegen.errors import QueueFull

pytest.importorskip("starlette", reason="Starlette (the extra [serve]) is not installed")
pytest.importorskip("httpx", reason="httpx (the extra [test]) is not installed")

from starlette.testclient import TestClient  # noqa: E402

PAGE = Path(__file__).resolve().parents[2] / "docs" / "serving.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    (text,) = [block for block in BLOCKS if block.startswith("# app.py\n")]
    path = tmp_path_factory.mktemp("recipe") / "app.py"
    path.write_text(text)
    spec = importlib.util.spec_from_file_location("recipe_app", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def client(recipe: ModuleType) -> Iterator[TestClient]:
    with TestClient(recipe.app) as client:
        yield client


def test_faces_of_many_clients(client: TestClient) -> None:
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda seed: client.get(f"/face.png?seed={seed}"), range(24)))
    expected = facegen.Generator(device="cpu").images(seeds=range(24))
    for answer, face in zip(answers, expected, strict=True):
        assert answer.status_code == 200 and answer.headers["content-type"] == "image/png"
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(answer.content))), face)


@pytest.mark.parametrize("seed", ["-1", "x", "", "9" * 5000])
def test_a_bad_seed(client: TestClient, seed: str) -> None:
    answer = client.get("/face.png", params={"seed": seed})
    assert answer.status_code == 400
    assert answer.json() == {"error": f"seed: expected a number from 0, found {seed!r}"}


def test_a_full_queue(client: TestClient, recipe: ModuleType) -> None:
    async def full(item: Any) -> Any:
        raise QueueFull("1,024 requests wait already; try again later")

    recipe.app.state.faces = full  # until the next start
    answer = client.get("/face.png?seed=1")
    assert answer.status_code == 503 and answer.headers["retry-after"] == "1"


def test_the_form_for_fastapi(recipe: ModuleType) -> None:
    """FastAPI is none of the packages that tests need: without it the form is only compiled."""
    (text,) = [block for block in BLOCKS if block.startswith("from fastapi")]
    program = compile(text, str(PAGE), "exec")
    pytest.importorskip("fastapi", reason="FastAPI is not installed")
    names = dict(vars(recipe))
    exec(program, names)
    with TestClient(names["app"]) as client:
        expected = facegen.Generator(device="cpu").images(seeds=[3])[0]
        picture = Image.open(io.BytesIO(client.get("/face.png?seed=3").content))
        assert np.array_equal(np.asarray(picture), expected)
        assert client.get("/face.png?seed=-1").status_code == 422
