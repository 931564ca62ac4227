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
SCREENS: dict[str, dict[str, Any]] = {
    "serve.png": {"viewport": {"width": 1440, "height": 900}},
    "serve-phone.png": {
        "viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True,
    },
}  # fmt: skip


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
        for name, screen in SCREENS.items():
            take(chromium, address + FACE, screen, folder / name)
        chromium.close()
    server.send_signal(signal.SIGINT)
    server.wait()


def take(chromium: Browser, address: str, screen: dict[str, Any], path: Path) -> None:
    page = chromium.new_page(reduced_motion="reduce", color_scheme="light", **screen)
    page.goto(address)
    page.locator("#wall canvas").nth(23).wait_for()
    page.wait_for_load_state("networkidle")
    shown = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    shown.quantize(256).save(path, optimize=True)  # a third of the bytes
    page.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
