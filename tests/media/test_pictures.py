from __future__ import annotations

import os
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from facegen.errors import FormatError
from facegen.media import pictures
from facegen.numbers.pixels import to_uint8


@given(hnp.arrays(np.float32, 20, elements=st.floats(-1, 1, width=32)))
def test_to_uint8_truncates_in_float32(values: np.ndarray) -> None:
    expected = [int((v + np.float32(1)) / np.float32(2) * np.float32(255)) for v in values]
    assert to_uint8(values).tolist() == expected


@given(hnp.arrays(np.uint32, 50, elements=st.integers(0, 2**32 - 1)))
def test_to_uint8_takes_anything(bits: np.ndarray) -> None:
    values = bits.view(np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pixels = to_uint8(values)
    assert (pixels[np.isnan(values) | (values <= -1)] == 0).all()
    assert (pixels[values >= 1] == 255).all()


def test_to_uint8_leaves_bytes_alone() -> None:
    pixels = np.arange(256, dtype=np.uint8)
    assert to_uint8(pixels) is pixels


def images(count: int) -> np.ndarray:
    return np.random.default_rng(0).uniform(-1, 1, (count, 6, 5, 3)).astype(np.float32)


def test_grid() -> None:
    picture = pictures.grid(images(5), 2, 3)
    assert picture.shape == (12, 15, 3)
    np.testing.assert_array_equal(picture[6:12, 5:10], to_uint8(images(5)[4]))
    assert (picture[6:, 10:] == 0).all()
    with pytest.raises(ValueError, match="7 images do not fit a grid of 2 x 3"):
        pictures.grid(images(7), 2, 3)
    with pytest.raises(ValueError, match="4 dimensions"):
        pictures.grid(images(1)[0], 1, 1)


@pytest.mark.parametrize("extension", [".png", ".bmp", ".PNG", ".tiff"])
@pytest.mark.parametrize("channels", [1, 3])
def test_save(tmp_path: Path, extension: str, channels: int) -> None:
    path = tmp_path / f"face{extension}"
    image = images(1)[0, :, :, :channels]
    pictures.save(path, image)
    with Image.open(path) as picture:
        np.testing.assert_array_equal(np.asarray(picture).reshape(image.shape), to_uint8(image))
    assert os.listdir(tmp_path) == [path.name]


@pytest.mark.parametrize("name", ["face.xyz", "face", "face.psd"])
def test_unknown_extension(tmp_path: Path, name: str) -> None:
    with pytest.raises(FormatError, match=f"{name}: no picture format"):
        pictures.save(tmp_path / name, images(1)[0])
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("channels", [2, 4])
def test_what_would_be_transparency_is_refused(channels: int) -> None:
    with pytest.raises(FormatError, match=f"x.png: expected 1 or 3 channels .* found {channels}"):
        pictures.encode("x.png", np.zeros((4, 4, channels), np.uint8))
    with pytest.raises(FormatError, match=f"found {channels}"):
        pictures.rgb(np.zeros((2, 4, 4, channels), np.uint8))
