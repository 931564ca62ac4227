"""Small stand-ins for networks, so that what is tested is the server; and a browser."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from clients import LOCAL

from facegen import Generator, Pix2Pix
from facegen.cli.main import main
from facegen.media import voc
from facegen.networks import NETWORKS
from facegen.networks.lenet import Guesses
from facegen.networks.traits import Traits
from facegen.photos.square import resized


class Negative:
    """In place of a pix2pix: 255 - v."""

    prepare = Pix2Pix.prepare

    def compute(self, prepared: Sequence[np.ndarray]) -> list[np.ndarray]:
        assert prepared[0].dtype == np.uint8
        return [255 - pixels for pixels in prepared]

    def finish(self, pixels: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
        return resized(pixels, *size)


class Reddish:
    """In place of a colorizer: strength times 100 in the red channel."""

    def prepare(self, photo: Any) -> np.ndarray:
        return np.zeros((256, 256), np.float32)

    def compute(self, prepared: Sequence[np.ndarray]) -> np.ndarray:
        return np.full((len(prepared), 2, 256, 256), 100, np.float32)

    def finish(
        self,
        pixels: np.ndarray,
        ab: np.ndarray,
        strength: float,
        out: np.ndarray | None = None,
        advance: Callable[[int], None] = print,
    ) -> np.ndarray:
        advance(len(pixels) // 2)
        if pixels.ndim == 2:
            pixels = np.stack([pixels] * 3, axis=2)
        result = pixels.copy() if out is None else out
        result[..., 0] = ab[0, 0, 0] * strength * (257 if pixels.dtype == np.uint16 else 1)
        return result


class Halves:
    """In place of a segmentation: background above, persons below."""

    names = voc.NAMES

    def prepare(self, photo: Any) -> np.ndarray:
        return np.zeros((8, 8, 3), np.float32)

    def compute(self, prepared: Sequence[np.ndarray]) -> list[np.ndarray]:
        return [np.repeat(np.uint8([0, 15]), 32).reshape(8, 8) for _ in prepared]

    def finish(self, classes: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
        height, width = size
        return classes[np.arange(height) * 8 // height][:, np.arange(width) * 8 // width]


class Sevens:
    """In place of a classifier of digits: all are sevens."""

    def __call__(self, image: np.ndarray) -> Guesses:
        assert image.shape == (28, 28) and image.dtype == np.uint8
        return Guesses.of(np.eye(10, dtype=np.float32)[7:8])


@pytest.fixture(scope="session")
def generator() -> Generator:
    return Generator(NETWORKS["dcgan"].initial_weights(5), device="cpu")


@pytest.fixture(scope="session")
def traits() -> Traits:
    """Two directions, the second of which is the first one back."""
    direction = np.linspace(-0.2, 0.2, 100, dtype=np.float32)
    return Traits("", {"smile": direction, "frown": -direction})


@pytest.fixture(scope="module")
def application(models: Any) -> Any:
    from facegen.serve.app import create_app

    return create_app(models)


@pytest.fixture
def client(application: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """One that asks as often as it likes; with one loop for all requests, as a server has."""
    from starlette.testclient import TestClient

    from facegen.serve import guard

    monkeypatch.setattr(guard._Bucket, "take", lambda bucket: True)
    with TestClient(application, LOCAL, raise_server_exceptions=False) as client:
        yield client


@pytest.fixture(scope="session")
def models(generator: Generator, traits: Traits) -> Any:
    pytest.importorskip("starlette", reason="Starlette (the extra [serve]) is not installed")
    from facegen.serve.models import Models

    return Models(
        generator, Negative(), Reddish(), Halves(), Sevens(), traits,  # type: ignore[arg-type]
        hints={"draw": "a better one: ..."},
    )  # fmt: skip


@pytest.fixture(scope="session")
def start(
    chromium: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., str]]:
    """Starts a server with arguments and gives its address; nothing was fetched for it."""
    pytest.importorskip("uvicorn", reason="uvicorn (the extra [serve]) is not installed")
    processes = []
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(sys.path),
        "PYTHONUNBUFFERED": "1",
        "FACEGEN_CACHE": str(tmp_path_factory.mktemp("cache")),
    }

    def start(*arguments: str) -> str:
        process = subprocess.Popen(
            [sys.executable, "-m", "facegen", "serve", "--port", "0", *arguments],
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        processes.append(process)
        assert process.stdout is not None
        return process.stdout.readline().split()[0]

    yield start
    for process in processes:
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 0


@pytest.fixture(scope="session")
def address(start: Callable[..., str], tmp_path_factory: pytest.TempPathFactory) -> str:
    """Of a server with networks of all kinds: seeded ones beside the package's own faces."""
    folder = tmp_path_factory.mktemp("serve")
    arguments = []
    for kind in ("pix2pix", "colorizer", "segmentation"):
        path = str(folder / f"{kind}.safetensors")
        assert main(["init", kind, path, "--quiet"]) == 0
        arguments += ["--network", path]
    return start(*arguments)


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """A browser, if there is one that Playwright drives."""
    playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    path = shutil.which("chromium") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("no Chromium on this machine")
    with playwright.sync_playwright() as api:
        # Containers allow no sandbox; the only site visited is ours.
        browser = api.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def open_page(chromium: Any) -> Iterator[Callable[..., Any]]:
    """Opens pages, which complain of nothing but what is expected, with reduced motion."""
    complaints: list[str] = []
    contexts = []

    def open_page(address: str, expected: str | None = None, **options: Any) -> Any:
        def complain(words: str) -> None:
            if expected is None or expected not in words:
                complaints.append(words)

        options = {"viewport": {"width": 1440, "height": 900}, "reduced_motion": "reduce"} | options
        context = chromium.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(120_000)
        page.on("console", lambda message: complain(message.text))
        page.on("pageerror", lambda error: complain(str(error)))
        page.goto(address)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []
