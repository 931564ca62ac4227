"""The page as a whole in a browser: Chromium, driven by Playwright.

Slow; skipped without Playwright or Chromium. Screenshots are left in the tests' folders:
``pytest -m slow tests/serve --basetemp FOLDER``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from browser import PARTS

from facegen.networks import default

pytestmark = pytest.mark.slow


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
    page = open_page(start())  # with an empty cache
    missing = []
    for part in PARTS:
        page.locator(f"#tab-{part}").click()
        page.locator(f"#part-{part}").or_(page.locator("#missing")).and_(
            page.locator(":visible")
        ).first.wait_for()
        if page.locator("#missing").is_visible():
            assert page.locator("#command").text_content().startswith("facegen ")
            missing.append(part)
    assert missing == ([] if "colorizer" in default.FILES else ["colorize"])


def test_a_page_with_a_token(open_page: Callable[..., Any], start: Callable[..., str]) -> None:
    address = start("--token", "a-token-of-the-test")
    page = open_page(address)
    page.locator("#wall canvas").nth(23).wait_for()
    assert "token" not in page.url
    page.reload()
    page.locator("#wall canvas").nth(23).wait_for()
