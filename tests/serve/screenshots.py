"""The pictures of docs/serve.md: ``python tests/serve/screenshots.py docs/images``.

It takes Playwright and Chromium, and a few seconds a picture.
"""

from __future__ import annotations

import io
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Browser, sync_playwright

FACE = "#faces?seed=14&to=67&t=0.15&smile=1.5"
DESKTOP: dict[str, Any] = {"viewport": {"width": 1440, "height": 900}}
PHONE = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}
# Picture -> the page's address, the screen, and what is there when all is.
SCREENS = {
    "serve.png": (FACE, DESKTOP, "#wall button:nth-child(24) canvas"),
    "serve-draw.png": ("#draw", DESKTOP | {"color_scheme": "dark"}, '#drawn[src^="blob:"]'),
    "serve-phone.png": (FACE, PHONE, "#wall button:nth-child(24) canvas"),
}


def main(folder: Path) -> None:
    command = [sys.executable, "-u", "-m", "facegen", "serve", "--port", "0"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    address = server.stdout.readline().split()[0]
    with sync_playwright() as api:
        # Containers allow no sandbox; the only site visited is ours.
        chromium = api.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--hide-scrollbars"]
        )
        for name, (place, screen, last) in SCREENS.items():
            take(chromium, address + place, screen, last, folder / name)
        chromium.close()
    server.send_signal(signal.SIGINT)
    server.wait()


def take(chromium: Browser, address: str, screen: dict[str, Any], last: str, path: Path) -> None:
    page = chromium.new_page(**{"reduced_motion": "reduce", "color_scheme": "light"} | screen)
    page.goto(address)
    page.locator(last).wait_for()
    page.wait_for_load_state("networkidle")
    Image.open(io.BytesIO(page.screenshot())).convert("RGB").save(path, optimize=True)
    page.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
