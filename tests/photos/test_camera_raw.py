"""Raws of cameras are refused: what Pillow would read of them is a small preview."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from facegen import FormatError
from facegen.photos import photo
from files import encoded, pixels

RGB = Image.fromarray(pixels(11, 6))


def raws() -> dict[str, bytes]:
    plain = encoded(RGB, "TIFF")
    moved = plain[:8] + b"CR\2\0" + plain[8:]  # the picture and its tags stand after the mark
    return {
        "a reduced copy": encoded(RGB, "TIFF", tiffinfo={254: 1}),
        "DNG": encoded(RGB, "TIFF", tiffinfo={50706: b"\1\4\0\0"}),
        "CR2": moved[:4] + (int.from_bytes(plain[4:8], "little") + 4).to_bytes(4, "little")
        + moved[8:],
    }  # fmt: skip


@pytest.mark.parametrize("kind", raws())
def test_raws(kind: str) -> None:
    for read in (photo.decode, photo.size):
        with pytest.raises(FormatError, match="a camera's raw, .* develop it first"):
            read(raws()[kind])


def test_other_tiffs_are_read() -> None:
    for tags in ({}, {254: 0}, {254: 2}):  # 2: a page of several
        found = photo.decode(encoded(RGB, "TIFF", tiffinfo=tags)).pixels
        np.testing.assert_array_equal(found, np.asarray(RGB))
