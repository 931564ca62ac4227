"""Clients of the page's application, and what they send and get."""

from __future__ import annotations

import io
import json
from typing import Any

import numpy as np
from PIL import Image


class Client:
    """Of a request, as far as work looks at it: one that stays, or has gone."""

    def __init__(self, gone: bool = False) -> None:
        self.gone = gone

    async def is_disconnected(self) -> bool:
        return self.gone


WHO_STAYS: Any = Client()
LOCAL = "http://localhost:8000"
IMAGE = {"Content-Type": "image/png"}


def pixels(response: Any) -> np.ndarray:
    """Of an answer that is a PNG or a JPEG."""
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] in ("image/png", "image/jpeg")
    return np.asarray(Image.open(io.BytesIO(response.content)).convert("RGB"))


def png(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def lines(response: Any) -> list[dict[str, Any]]:
    """Of an answer that tells of long work."""
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/x-ndjson"
    return [json.loads(line) for line in response.text.splitlines()]
