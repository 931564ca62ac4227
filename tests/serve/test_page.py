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
import time
from collections.abc import Callable, Iterator
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
PARTS = ("faces", "draw", "colorize", "segment", "digits")


@pytest.fixture(scope="module")
def start() -> Iterator[Callable[..., str]]:
    """Starts a server with arguments and gives its address."""
    processes = []

    def start(*arguments: str) -> str:
        process = subprocess.Popen(
            [sys.executable, "-m", "facegen", "serve", "--port", "0", *arguments],
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "PYTHONUNBUFFERED": "1"},
        )
        processes.append(process)
        assert process.stdout is not None
        return process.stdout.readline().split()[0]

    yield start
    for process in processes:
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 0


@pytest.fixture(scope="module")
def address(start: Callable[..., str], tmp_path_factory: pytest.TempPathFactory) -> str:
    """Of a server with networks of all kinds: seeded ones beside the package's own faces."""
    folder = tmp_path_factory.mktemp("serve")
    arguments = []
    for kind in ("pix2pix", "colorizer", "segmentation"):
        path = str(folder / f"{kind}.safetensors")
        assert main(["init", kind, path, "--quiet"]) == 0
        arguments += ["--network", path]
    return start(*arguments)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with playwright.sync_playwright() as api:
        # Containers allow no sandbox; the only site visited is ours.
        browser = api.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
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


def shown(page: Any, selector: str) -> np.ndarray:
    image = Image.open(io.BytesIO(page.locator(selector).screenshot()))
    return np.asarray(image.convert("RGB")).astype(int)


def drawn(page: Any, selector: str) -> str:
    """What a canvas holds, as text that can be compared."""
    text: str = page.locator(selector).evaluate("canvas => canvas.toDataURL()")
    return text


def until(page: Any, true: Callable[[], Any]) -> None:
    """Wait; Playwright's own way is to evaluate text in the page, which its policy forbids."""
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline, "nothing happened within a minute"
        page.wait_for_timeout(50)


def redraws(page: Any, selector: str, act: Callable[[], Any]) -> None:
    """After `act`, the canvas holds another picture."""
    before = drawn(page, selector)
    act()
    until(page, lambda: drawn(page, selector) != before)


def changes(page: Any, selector: str, act: Callable[[], Any]) -> None:
    """After `act`, the image has another picture."""
    before = page.locator(selector).get_attribute("src")
    act()
    until(page, lambda: page.locator(selector).get_attribute("src") != before)


def text(page: Any, selector: str) -> str:
    return str(page.locator(selector).text_content()).strip()


def test_the_first_screen_lives_without_a_click(
    open_page: Callable[..., Any], address: str, tmp_path: Path
) -> None:
    page = open_page(address, reduced_motion="no-preference")
    until(page, lambda: "way" in text(page, "#plate"))
    redraws(page, "#face", lambda: None)
    page.locator("#wall canvas").nth(23).wait_for()
    redraws(page, "#wall canvas >> nth=3", lambda: page.mouse.move(1400, 850))
    page.screenshot(path=tmp_path / "first.png")
    page.locator("#walk").click()
    page.wait_for_load_state("networkidle")
    still = drawn(page, "#face")
    page.wait_for_timeout(300)
    assert drawn(page, "#face") == still and text(page, "#walk") == "Walk"
    assert "#faces?seed=" in page.url


def test_who_wants_no_motion_gets_none(open_page: Callable[..., Any], address: str) -> None:
    page = open_page(address)
    page.locator("#wall canvas").nth(23).wait_for()
    page.wait_for_load_state("networkidle")
    assert text(page, "#walk") == "Walk"
    before = [drawn(page, selector) for selector in ("#face", "#wall canvas >> nth=3")]
    page.mouse.move(30, 700)
    page.wait_for_timeout(500)
    assert [drawn(page, selector) for selector in ("#face", "#wall canvas >> nth=3")] == before
    # Its own request is heeded.
    redraws(page, "#face", lambda: page.locator("#walk").click())


def test_shaping_a_face(open_page: Callable[..., Any], address: str) -> None:
    page = open_page(f"{address}#faces?seed=7")
    page.locator("#wall canvas").nth(23).wait_for()
    assert page.locator("#seed-a").input_value() == "7"
    smile = page.get_by_role("slider", name="Smile")
    redraws(page, "#face", lambda: smile.fill("1.5"))
    assert page.url.endswith("#faces?seed=7&smile=1.5")
    redraws(page, "#face", lambda: page.get_by_role("button", name="Glasses: most").click())
    assert page.url.endswith("#faces?seed=7&smile=1.5&glasses=3")
    redraws(page, "#face", page.go_back)
    assert page.get_by_role("slider", name="Glasses").input_value() == "0"
    redraws(page, "#face", lambda: page.locator("#t").fill("0.5"))
    redraws(page, "#face", lambda: page.get_by_role("button", name="Seed 5", exact=True).click())
    assert page.url.endswith("#faces?seed=5&smile=1.5")
    redraws(page, "#face", lambda: page.locator("#reset").click())
    page.locator("#later").click()
    page.locator("text=seeds 24 to 47").wait_for()


def test_a_shared_address_is_the_same_face(open_page: Callable[..., Any], address: str) -> None:
    shared = f"{address}#faces?seed=7&to=9&t=0.4&smile=1.5&turn=-1"
    first, second = (open_page(shared) for _ in range(2))
    for page in (first, second):
        page.wait_for_load_state("networkidle")
        assert page.locator("#plate").text_content() == "40% of the way from No. 7 to No. 9"
    assert drawn(first, "#face") == drawn(second, "#face")
    assert second.get_by_role("slider", name="Turn").input_value() == "-1"


def test_a_seed_that_is_none_is_refused_in_place(
    open_page: Callable[..., Any], address: str
) -> None:
    page = open_page(f"{address}#faces?seed=7")
    page.wait_for_load_state("networkidle")
    field, wrong = page.locator("#seed-a"), page.locator("#seed-a-wrong")
    for text in ("-5", "1.5", "nobody", "9007199254740992", ""):
        field.fill(text)
        field.press("Enter")
        assert "a whole number from 0 to 9,007,199,254,740,991" in wrong.text_content()
        assert field.get_attribute("aria-invalid") == "true"
        assert page.url.endswith("seed=7")
    field.fill("8")
    redraws(page, "#face", lambda: field.press("Enter"))
    assert wrong.text_content() == "" and page.url.endswith("seed=8")


def test_faces_are_kept_in_the_browser(open_page: Callable[..., Any], address: str) -> None:
    page = open_page(f"{address}#faces?seed=7&smile=2")
    page.locator("#keep").click()
    page.locator("#kept-faces li").nth(0).wait_for()
    assert not page.locator("#save-kept").is_visible()  # a walk takes two
    page.locator("#random").click()
    page.locator("#keep").click()
    page.locator("#kept-faces li").nth(1).wait_for()
    page.reload()
    page.locator("#kept-faces li").nth(1).wait_for()
    page.get_by_role("button", name="Kept face of seed 7", exact=True).click()
    page.wait_for_url("**/#faces?seed=7&smile=2")
    with page.expect_download() as download:
        page.locator("#save-kept").click()
    with Image.open(download.value.path()) as gif:
        assert gif.format == "GIF" and gif.n_frames == 48
    page.get_by_role("button", name="Remove the kept face of seed 7").click()
    page.locator("#kept-faces li").nth(1).wait_for(state="detached")


def test_downloads_of_a_face(open_page: Callable[..., Any], address: str) -> None:
    page = open_page(f"{address}#faces?seed=7")
    page.wait_for_load_state("networkidle")
    for button, size in (("#save-face", (512, 512)), ("#save-walk", (256, 256))):
        with page.expect_download() as download:
            page.locator(button).click()
        with Image.open(download.value.path()) as image:
            assert image.size == size


def test_drawing(open_page: Callable[..., Any], address: str, tmp_path: Path) -> None:
    page = open_page(f"{address}#draw")
    paper = "#draw-pad canvas"
    page.locator('#drawn[src^="blob:"]').wait_for()  # of a starter
    page.get_by_role("button", name="Clear").click()
    white = drawn(page, paper)
    assert shown(page, paper)[50:-50, 50:-50].min() == 255
    box = page.locator(paper).bounding_box()

    def stroke(y: int) -> None:
        page.mouse.move(box["x"] + 50, box["y"] + y)
        page.mouse.down()
        page.mouse.move(box["x"] + 200, box["y"] + y + 50, steps=5)
        page.mouse.up()

    changes(page, "#drawn", lambda: stroke(100))
    one = drawn(page, paper)
    assert one != white
    stroke(200)
    two = drawn(page, paper)
    page.keyboard.press("Control+z")
    assert drawn(page, paper) == one
    page.keyboard.press("Control+Shift+z")
    assert drawn(page, paper) == two
    page.get_by_role("button", name="Undo").click()
    assert drawn(page, paper) == one
    thin = (shown(page, paper) < 128).sum()
    page.get_by_role("button", name="Undo").click()
    page.locator("#draw-pad input").fill("20")
    stroke(100)
    assert (shown(page, paper) < 128).sum() > 4 * thin
    page.get_by_role("button", name="Eraser").click()
    page.locator("#draw-pad input").fill("24")
    stroke(100)
    assert (shown(page, paper)[2:-2, 2:-2] < 128).sum() == 0
    changes(page, "#drawn", lambda: page.locator("#starters button").nth(3).click())
    page.screenshot(path=tmp_path / "draw.png")


def test_drawing_by_keys(open_page: Callable[..., Any], address: str) -> None:
    page = open_page(f"{address}#draw")
    page.locator('#drawn[src^="blob:"]').wait_for()
    page.get_by_role("button", name="Clear").click()
    page.locator("#draw-pad canvas").focus()
    white = drawn(page, "#draw-pad canvas")
    page.keyboard.press("ArrowRight")
    assert drawn(page, "#draw-pad canvas") == white
    for key in ("Space", "ArrowDown", "ArrowDown", "Space"):
        page.keyboard.press(key)
    line = drawn(page, "#draw-pad canvas")
    assert line != white
    page.keyboard.press("ArrowRight")
    assert drawn(page, "#draw-pad canvas") == line


def test_a_large_picture_is_drawn_and_can_be_given_up(
    open_page: Callable[..., Any], address: str, tmp_path: Path
) -> None:
    page = open_page(f"{address}#draw")
    page.locator('#drawn[src^="blob:"]').wait_for()
    page.locator("#draw-own").check()
    Image.new("RGB", (2000, 1900), (250, 240, 230)).save(tmp_path / "large.png")
    page.locator("#draw-file").set_input_files(tmp_path / "large.png")
    page.locator("#draw-job >> text=drawing at 2048 x 1792").wait_for()
    page.locator("#draw-job button").click()
    page.locator("text=Cancelled.").wait_for()
    assert not page.locator("#draw-job .job").is_visible()
    page.locator("#draw-own").uncheck()
    again = tmp_path / "large.png"
    changes(page, "#drawn", lambda: page.locator("#draw-file").set_input_files(again))
    with page.expect_download() as download:
        page.locator("#save-drawn").click()
    with Image.open(download.value.path()) as image:
        assert image.size == (2000, 1900)


def test_a_tiff_in_colour(open_page: Callable[..., Any], address: str, tmp_path: Path) -> None:
    y, x = np.mgrid[:120, :200]
    grey = (128 + 100 * np.sin(x / 20) * np.cos(y / 15)).astype(np.uint8)
    Image.fromarray(grey).save(tmp_path / "grey.tiff")
    page = open_page(f"{address}#colorize")
    page.locator("#colorize-photo input").set_input_files(tmp_path / "grey.tiff")
    page.locator('#after[src^="blob:"]').wait_for()
    assert page.locator("#before").evaluate("image => image.naturalWidth") == 200
    uploads = []
    page.on("request", lambda asked: uploads.append(asked.url) if asked.method == "POST" else None)
    changes(page, "#after", lambda: page.locator("#strength").fill("2"))
    assert uploads == []
    page.locator("#split").fill("20")
    with page.expect_download() as download:
        page.locator("#save-photo").click()
    assert download.value.suggested_filename == "grey-colour.png"
    with Image.open(download.value.path()) as image:
        assert image.size == (200, 120)
    page.screenshot(path=tmp_path / "photo.png")


def test_segments(open_page: Callable[..., Any], address: str, tmp_path: Path) -> None:
    page = open_page(f"{address}#segment")
    page.locator("#legend li").first.wait_for()  # of a face that it takes itself
    before = page.locator("#whole").get_attribute("src")
    page.locator("#segment-photo button", has_text="Take a face").click()
    until(page, lambda: page.locator("#whole").get_attribute("src") != before)
    page.wait_for_load_state("networkidle")
    changed = shown(page, "#parts .over")
    page.locator("#opacity").fill("0")
    assert np.abs(shown(page, "#parts .over") - changed).max() > 20
    page.screenshot(path=tmp_path / "segment.png")


def test_what_is_no_picture_is_said(
    open_page: Callable[..., Any], address: str, tmp_path: Path
) -> None:
    (tmp_path / "words.png").write_text("no picture")
    page = open_page(f"{address}#colorize", expected="400 (Bad Request)")
    page.locator("#colorize-photo input").set_input_files(tmp_path / "words.png")
    page.locator("#error >> text=not a picture").wait_for()
    assert not page.locator("#colorize-photo .job").is_visible()
    page.get_by_role("button", name="Close").click()
    assert not page.locator("#error").is_visible()


def test_digits(open_page: Callable[..., Any], address: str, tmp_path: Path) -> None:
    page = open_page(f"{address}#digits")
    until(page, lambda: text(page, "#digit") == "7")
    page.get_by_role("button", name="Clear").click()
    until(page, lambda: text(page, "#digit") == "")
    box = page.locator("#digit-pad canvas").bounding_box()
    x, y, side = box["x"], box["y"], box["width"]
    page.mouse.move(x + side / 2, y + side / 5)
    page.mouse.down()
    page.mouse.move(x + side / 2, y + side * 4 / 5, steps=8)
    page.mouse.up()
    until(page, lambda: text(page, "#digit") == "1")
    page.screenshot(path=tmp_path / "digits.png")


def test_tabs_by_keys(open_page: Callable[..., Any], address: str) -> None:
    page = open_page(address)
    page.locator("#tab-faces").focus()
    for part in (*PARTS[1:], PARTS[0]):
        page.keyboard.press("ArrowRight")
        page.locator(f"#part-{part}").wait_for()
        chosen = page.locator("[role=tab][aria-selected=true]")
        assert chosen.get_attribute("id") == f"tab-{part}"
        assert page.evaluate("document.activeElement.id") == f"tab-{part}"
    page.keyboard.press("End")
    page.locator("#part-digits").wait_for()


@pytest.mark.parametrize("width", [390, 1440])
def test_controls_have_names_and_nothing_sticks_out(
    open_page: Callable[..., Any], address: str, width: int
) -> None:
    page = open_page(address, viewport={"width": width, "height": 844})
    for part in PARTS:
        page.locator(f"#tab-{part}").click()
        page.locator(f"#part-{part}").wait_for()
        page.wait_for_load_state("networkidle")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        nameless = page.evaluate(
            """() => [...document.querySelectorAll("button, a, input, canvas[role]")]
              .filter((each) => each.checkVisibility())
              .filter((each) => !(each.textContent.trim() || each.getAttribute("aria-label")
                || each.labels?.length))
              .map((each) => each.outerHTML)"""
        )
        assert nameless == []


def test_parts_without_a_network_say_how_to_get_one(
    open_page: Callable[..., Any], start: Callable[..., str]
) -> None:
    page = open_page(start())
    for part in PARTS:
        page.locator(f"#tab-{part}").click()
        page.locator(f"#part-{part}").or_(page.locator("#missing")).and_(
            page.locator(":visible")
        ).first.wait_for()
        if page.locator("#missing").is_visible():
            assert page.locator("#command").text_content().startswith("facegen ")


def test_a_page_with_a_token(open_page: Callable[..., Any], start: Callable[..., str]) -> None:
    address = start("--token", "a-token-of-the-test")
    page = open_page(address)
    page.locator("#wall canvas").nth(23).wait_for()
    assert "token" not in page.url
    page.reload()
    page.locator("#wall canvas").nth(23).wait_for()
