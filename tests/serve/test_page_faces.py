"""The page's faces in a browser: Chromium, driven by Playwright.

Slow; skipped without Playwright or Chromium. Screenshots are left in the tests' folders:
``pytest -m slow tests/serve --basetemp FOLDER``.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from browser import drawn, redraws, text, until
from PIL import Image

pytestmark = pytest.mark.slow


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
    for words in ("-5", "1.5", "nobody", "9007199254740992", ""):
        field.fill(words)
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


COUNT_PICTURES = """
  window.pictures = new Set();
  const [make, letGo] = [URL.createObjectURL, URL.revokeObjectURL];
  URL.createObjectURL = (blob) => {
    const url = make.call(URL, blob);
    pictures.add(url);
    return url;
  };
  URL.revokeObjectURL = (url) => {
    pictures.delete(url);
    letGo.call(URL, url);
  };
"""


def test_pictures_of_kept_faces_are_let_go(open_page: Callable[..., Any], address: str) -> None:
    page = open_page(f"{address}#faces?seed=7")
    page.add_init_script(COUNT_PICTURES)
    page.reload()
    page.locator("#wall canvas").nth(23).wait_for()
    page.wait_for_load_state("networkidle")
    before = page.evaluate("pictures.size")
    for number in range(3):
        page.locator("#random").click()
        page.locator("#keep").click()
        page.locator("#kept-faces li").nth(number).wait_for()
    page.wait_for_load_state("networkidle")
    assert page.evaluate("pictures.size") == before + 3
    for left in (2, 1, 0):
        page.locator("#kept-faces li button:last-child").first.click()
        page.locator("#kept-faces li").nth(left).wait_for(state="detached")
    assert page.evaluate("pictures.size") == before


def test_downloads_of_a_face(open_page: Callable[..., Any], address: str) -> None:
    page = open_page(f"{address}#faces?seed=7")
    page.wait_for_load_state("networkidle")
    for button, size in (("#save-face", (512, 512)), ("#save-walk", (256, 256))):
        with page.expect_download() as download:
            page.locator(button).click()
        with Image.open(download.value.path()) as image:
            assert image.size == size
