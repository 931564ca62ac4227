"""Paths, Pillow images and arrays: the same pixels, and back to the same kind."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facegen import FormatError
from facegen.photos.kinds import opened
from files import pixels

RGB = pixels(11, 6)


def images() -> dict[str, Image.Image]:
    grey = Image.fromarray(RGB[:, :, 0])
    deep = Image.fromarray(RGB[:, :, 0].astype(np.uint16) * 257)
    rgba = Image.fromarray(RGB)
    rgba.putalpha(grey)
    return {
        "RGB": Image.fromarray(RGB),
        "L": grey,
        "I;16": deep,
        "RGBA": rgba,
        "CMYK": Image.fromarray(RGB).convert("CMYK"),
        "P": Image.fromarray(RGB).quantize(8),
    }


@pytest.mark.parametrize("mode", images())
@pytest.mark.parametrize("orientation", [1, 6])
def test_a_path_and_its_image(mode: str, orientation: int, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "picture.tif"
    images()[mode].save(path, exif=exif)
    of_path, to_image = opened(path)
    # From memory: Pillow 13 does not turn an uncompressed TIFF that it maps from a file.
    with Image.open(io.BytesIO(path.read_bytes())) as image:
        of_image, _ = opened(image)
    np.testing.assert_array_equal(of_image, of_path)
    assert of_path.shape == ((11, 6, 3) if orientation == 1 else (6, 11, 3))
    if mode in ("L", "I;16") and orientation == 1:
        np.testing.assert_array_equal(of_path[..., 0], RGB[:, :, 0])
    back = to_image(of_path)
    assert back.mode == ("RGBA" if mode == "RGBA" else "RGB")
    assert back.size[::-1] == of_path.shape[:2]


def test_arrays_are_taken_as_they_are() -> None:
    values = RGB.astype(np.float32)
    found, back = opened(values)
    assert found is values and back(found) is values


def test_what_is_none_of_them(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="found int"):
        opened(3)  # type: ignore[arg-type]
    (tmp_path / "a.png").write_bytes(b"no picture")
    with pytest.raises(FormatError, match="a.png: not a picture"):
        opened(tmp_path / "a.png")
