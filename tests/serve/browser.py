"""What is seen in a browser: helpers for the tests of the page."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image

PARTS = ("faces", "draw", "colorize", "segment", "digits")


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
