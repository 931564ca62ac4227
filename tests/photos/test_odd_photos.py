"""Pictures that are odd in ways that were met, each with the values that it has."""

from __future__ import annotations

import numpy as np
import pytest

from facegen.photos.encode import WRITABLE, encode
from facegen.photos.photo import decode
from files import odd_picture

PATTERN = 127.0  # mean of most of them


@pytest.mark.parametrize(
    ("name", "shape", "mean", "transparent", "profile"),
    [
        ("bmp32-alpha0.bmp", (48, 64), PATTERN, 0, False),
        ("exif-ascii-rational.jpg", (64, 48), PATTERN, 0, False),
        ("exif-junk.webp", (48, 64), PATTERN, 0, False),
        ("exif-text.png", (48, 64), PATTERN, 0, False),
        ("icc-linear-srgb.png", (48, 64), 177.8, 0, True),
        ("icc-wide-sharing.jpg", (48, 64), 146.1, 0, False),
        ("png-icc-method1.png", (48, 64), PATTERN, 0, False),
        ("png-ztxt-1.2MB.png", (48, 64), PATTERN, 0, False),
        ("grey16.png", (48, 64), 135.25, 0, False),
        ("tiff-white16.tif", (48, 64), 135.25, 0, False),
        ("trns-grey2.png", (48, 64), 127.5, 768, False),
        ("trns-rgb16.png", (48, 64), 122.6, 48, False),
    ],
)
def test_odd(
    name: str, shape: tuple[int, int], mean: float, transparent: int, profile: bool
) -> None:
    photo = decode(odd_picture(name))
    assert photo.pixels.shape == (*shape, 3)
    assert abs(photo.pixels.mean() - mean) < 0.1
    alpha = np.full(shape, 255) if photo.alpha is None else photo.alpha
    assert np.count_nonzero(alpha != 255) == transparent
    assert (photo.profile is not None) == profile
    for extension in WRITABLE:
        parts = photo.pixels, f"a{extension}", photo.alpha, photo.profile, photo.metadata
        assert decode(encode(*parts)).pixels.shape == photo.pixels.shape
