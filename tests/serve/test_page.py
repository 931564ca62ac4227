"""The page in a browser: Chromium, driven by Playwright. Slow; skipped without either.

Screenshots are left in the test's folder: ``pytest -m slow tests/serve --basetemp FOLDER``.
"""

from __future__ import annotations

import io
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from facegen.cli.main import main

pytest.importorskip("uvicorn", reason="uvicorn (the extra [serve]) is not installed")
playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine"),
]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Of a server with all three kinds of networks."""
    folder = tmp_path_factory.mktemp("serve")
    arguments = []
    for kind in ("dcgan", "pix2pix", "colorizer"):
        assert main(["init", kind, str(folder / f"{kind}.bin"), "--quiet"]) == 0
        arguments += ["--network", str(folder / f"{kind}.bin")]
    process = subprocess.Popen(
        [sys.executable, "-m", "facegen", "serve", "--port", "0", "--device", "cpu", *arguments],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "PYTHONUNBUFFERED": "1"},
    )
    assert process.stdout is not None
    yield process.stdout.readline().split()[0]
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=30) == 0


@pytest.fixture
def page(address: str) -> Iterator[Any]:
    """A page that complains of nothing."""
    with playwright.sync_playwright() as api:
        # Containers allow no sandbox; the only site visited is ours.
        browser = api.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1000, "height": 800})
        page.set_default_timeout(120_000)
        complaints: list[str] = []
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        yield page
        browser.close()
    assert complaints == []


def shown(page: Any, selector: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(page.locator(selector).screenshot())))


def changes(page: Any, selector: str, act: Any) -> None:
    """After `act`, the image gets another picture."""
    before = page.locator(selector).get_attribute("src")
    act()
    page.locator(f'{selector}[src^="blob:"]:not([src="{before}"])').wait_for()


def test_faces(page: Any, address: str, tmp_path: Path) -> None:
    page.goto(address)
    page.locator('#face[src^="blob:"]').wait_for()
    page.locator("#sheet button").nth(23).wait_for()
    changes(page, "#face", lambda: page.locator("#sheet button").nth(5).click())
    assert page.locator("#seed").input_value() == "5"
    changes(page, "#face", lambda: page.locator("#t").fill("0.5"))
    changes(page, "#face", lambda: page.locator("#sliders input").nth(2).fill("1"))
    changes(page, "#face", lambda: page.locator("#sliders .end").nth(0).click())
    assert page.locator("#sliders input").first.input_value() == "-1"
    changes(page, "#face", lambda: page.locator("#reset").click())
    page.locator("#next").click()
    page.locator("text=Seeds 24 to 47").wait_for()
    with page.expect_download() as download:
        page.locator("#save-face").click()
    with Image.open(download.value.path()) as image:
        assert image.size == (512, 512)
    page.screenshot(path=tmp_path / "faces.png", full_page=True)


def test_drawing(page: Any, address: str, tmp_path: Path) -> None:
    page.goto(f"{address}#draw")
    page.locator("#paper").wait_for()
    box = page.locator("#paper").bounding_box()
    white = shown(page, "#paper")

    def stroke(y: int) -> None:
        page.mouse.move(box["x"] + 50, box["y"] + y)
        page.mouse.down()
        page.mouse.move(box["x"] + 200, box["y"] + y + 50, steps=5)
        page.mouse.up()

    changes(page, "#drawn", lambda: stroke(100))
    one = shown(page, "#paper")
    assert not np.array_equal(one, white)
    stroke(200)
    page.keyboard.press("Control+z")
    np.testing.assert_array_equal(shown(page, "#paper"), one)
    page.screenshot(path=tmp_path / "draw.png", full_page=True)
    page.locator("#eraser").click()
    stroke(100)
    assert shown(page, "#paper").sum() > one.sum()
    page.locator("#clear").click()
    np.testing.assert_array_equal(shown(page, "#paper"), white)


def test_photo(page: Any, address: str, tmp_path: Path) -> None:
    y, x = np.mgrid[:120, :200]
    Image.fromarray((128 + 100 * np.sin(x / 20) * np.cos(y / 15)).astype(np.uint8)).save(
        tmp_path / "grey.png"
    )
    page.goto(f"{address}#colorize")
    page.locator("#drop").wait_for()
    page.locator("#file").set_input_files(tmp_path / "grey.png")
    page.locator('#after[src^="blob:"]').wait_for()
    changes(page, "#after", lambda: page.locator("#strength").fill("2"))
    page.locator("#split").fill("20")
    page.screenshot(path=tmp_path / "photo.png", full_page=True)


def test_a_narrow_screen(page: Any, address: str) -> None:
    """Nothing sticks out of a phone's."""
    page.set_viewport_size({"width": 390, "height": 800})
    for part in ("faces", "draw", "colorize"):
        page.goto(f"{address}#{part}")
        page.locator(f"#{part}").wait_for()
        assert page.evaluate("document.documentElement.scrollWidth") == 390
