"""The application with stand-ins for networks, a server, and a browser."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from clients import LOCAL
from running import Running
from stand_ins import Halves, Negative, Reddish, Sevens

from facegen import Generator
from facegen.cli.main import main
from facegen.networks import NETWORKS
from facegen.networks.traits import Traits


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


@pytest.fixture
def running(models: Any) -> Iterator[Running]:
    running = Running(models)
    yield running
    running.stop()


@pytest.fixture(scope="session")
def start(chromium: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., str]]:
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
