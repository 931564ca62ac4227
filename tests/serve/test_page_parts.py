"""The page's drawings, photos and digits in a browser: Chromium, driven by Playwright.

Slow; skipped without Playwright or Chromium. Screenshots are left in the tests' folders:
``pytest -m slow tests/serve --basetemp FOLDER``.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser import changes, drawn, shown, text, until
from PIL import Image

pytestmark = pytest.mark.slow


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
    page.locator("#draw-pad [type=range]").fill("20")
    stroke(100)
    assert (shown(page, paper) < 128).sum() > 4 * thin
    page.get_by_role("button", name="Eraser").click()
    page.locator("#draw-pad [type=range]").fill("24")
    stroke(100)
    assert (shown(page, paper)[2:-2, 2:-2] < 128).sum() == 0
    changes(page, "#drawn", lambda: page.locator("#starters button").nth(4).click())  # a cat
    page.screenshot(path=tmp_path / "draw.png")


def test_pencils_and_papers_have_colours(open_page: Callable[..., Any], address: str) -> None:
    page = open_page(f"{address}#draw")
    sheet = "#draw-pad canvas"
    page.locator('#drawn[src^="blob:"]').wait_for()  # of a starter
    page.get_by_role("button", name="Clear").click()
    assert page.get_by_label("white").is_checked()
    box = page.locator(sheet).bounding_box()

    def stroke() -> None:
        page.mouse.move(box["x"] + 50, box["y"] + 100)
        page.mouse.down()
        page.mouse.move(box["x"] + 200, box["y"] + 100, steps=5)
        page.mouse.up()

    def pixels(colour: tuple[int, int, int]) -> int:
        return int((np.abs(shown(page, sheet) - colour).max(axis=2) < 8).sum())

    red, sky = (0xA3, 0x52, 0x2E), (0xDF, 0xE8, 0xF0)
    page.get_by_title("red hair").click()
    page.locator("#draw-pad [type=range]").fill("12")
    changes(page, "#drawn", stroke)
    assert pixels(red) > 1000
    changes(page, "#drawn", lambda: page.get_by_title("sky").click())
    assert pixels(red) > 1000 and pixels(sky) > 10_000
    page.get_by_role("button", name="Eraser").click()
    page.locator("#draw-pad [type=range]").fill("24")
    stroke()
    assert pixels(red) == 0 and pixels((255, 255, 255)) < 1000
    for _ in range(2):
        page.get_by_role("button", name="Undo").click()
    assert pixels(red) > 1000 and page.get_by_label("white").is_checked()


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
