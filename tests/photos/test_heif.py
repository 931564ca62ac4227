"""HEIC by pillow-heif: pixels, orientation, alpha; what is said where it is missing."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from facegen import FormatError
from facegen.photos import heif, photo
from files import encoded, heic, pixels

RGB = pixels(64, 48)
# A phone's first box, and nothing after it.
BOX = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"


def close(found: np.ndarray, expected: np.ndarray) -> bool:
    return found.shape == expected.shape and np.abs(found.astype(int) - expected).mean() < 2


def test_pixels_and_orientation() -> None:
    data = heic(Image.fromarray(RGB))
    assert photo.size(data) == (64, 48)
    assert close(photo.decode(data).pixels, RGB)
    turned = heic(Image.fromarray(RGB), orientation=6)  # a quarter clockwise makes it upright
    assert close(photo.decode(turned).pixels, np.rot90(RGB, -1))


def test_alpha() -> None:
    image = Image.fromarray(RGB)
    image.putalpha(Image.fromarray(np.repeat(np.arange(64, dtype=np.uint8)[:, None] * 4, 48, 1)))
    decoded = photo.decode(heic(image))
    assert decoded.alpha is not None and close(decoded.alpha, np.asarray(image)[..., 3])


def test_damaged_files() -> None:
    data = heic(Image.fromarray(RGB))
    for broken in (data[: len(data) // 2], data[:40], BOX):
        with pytest.raises(FormatError, match="cannot be decoded"):
            photo.decode(broken)


def test_what_is_told_apart() -> None:
    assert heif.is_heif(BOX) and heif.is_heif(b"\0\0\0\x14ftypmif1\0\0\0\0heic")
    for other in (
        encoded(Image.fromarray(RGB), "AVIF"),  # of the same family
        b"\0\0\0\x18ftypisom\0\0\0\0isommp41",  # a film
        b"\0\0\0\x18ftypcrx \0\0\0\x01crx isom",  # a camera's raw
        encoded(Image.fromarray(RGB), "PNG"),
        BOX[:7],
        b"",
    ):
        assert not heif.is_heif(other)


def test_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heif, "installed", lambda: False)
    with pytest.raises(FormatError, match=r"HEIC needs .*pip install 'pillow-heif>=1'"):
        photo.decode(BOX)
    assert ".heic" not in photo.readable_extensions.__wrapped__()


def test_pillow_is_left_as_it_is() -> None:
    """Others of the process keep what they read and write."""
    code = (
        "from facegen.photos import photo\n"
        "photo.readable_extensions()\n"
        "try: photo.decode(bytes.fromhex('" + BOX.hex() + "'))\n"
        "except photo.FormatError: pass\n"
        "from PIL import Image\n"
        "Image.init()\n"
        "assert 'HEIF' not in Image.OPEN and 'HEIF' not in Image.SAVE\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
