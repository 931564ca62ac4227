"""Pairs of pictures and masks."""

from __future__ import annotations

import os
import struct
from pathlib import Path
from zlib import compress, crc32

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from facegen import FormatError
from facegen.train.segmentation.masks import SIDE, read_pairs


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """One pair: the left half of the picture is class 5, its first column is no class."""
    pictures, masks = tmp_path / "pictures", tmp_path / "masks"
    pictures.mkdir(), masks.mkdir()
    random = np.random.default_rng(0)
    Image.fromarray(random.integers(0, 256, (90, 120, 3), dtype=np.uint8)).save(pictures / "a.jpg")
    classes = np.zeros((90, 120), np.uint8)
    classes[:, :60], classes[:, :20] = 5, 255
    save_mask(masks / "a.png", classes)
    return pictures, masks


def save_mask(path: Path, classes: np.ndarray, mode: str = "P") -> None:
    image = Image.fromarray(classes)
    if mode == "P":
        image.putpalette(np.random.default_rng(1).integers(0, 256, 768, dtype=np.uint8).tobytes())
    image.save(path)


def four_bits(values: np.ndarray) -> bytes:
    """A grey PNG of 4 bits a pixel, which Pillow does not write; values 0 to 15."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", crc32(name + data))

    height, width = values.shape
    rows = (values[:, ::2] << 4) | values[:, 1::2]
    lines = np.concatenate([np.zeros((height, 1), np.uint8), rows], axis=1)  # no filter
    header = struct.pack(">IIBBBBB", width, height, 4, 0, 0, 0, 0)
    data = chunk(b"IHDR", header) + chunk(b"IDAT", compress(lines.tobytes())) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + data


@pytest.mark.parametrize("mode", ["P", "L"])
def test_a_pair(folders: tuple[Path, Path], mode: str) -> None:
    pictures, masks = folders
    classes = np.array(Image.open(masks / "a.png"))
    save_mask(masks / "a.png", classes, mode)
    Image.new("RGB", (9, 9)).save(pictures / "b.png")  # no mask: left out
    Path(masks / "notes.txt").write_text("")
    pairs = read_pairs(pictures, masks)
    assert pairs.names == ["a"] and pairs.pixels.shape == (1, SIDE, SIDE, 3)
    assert pairs.classes.shape == (1, SIDE, SIDE)
    edges = np.flatnonzero(np.diff(pairs.classes[0, 100].astype(int)))
    np.testing.assert_allclose(edges, [SIDE / 6, SIDE / 2], atol=1)
    assert np.unique(pairs.classes).tolist() == [0, 5, 255]


def test_a_mask_with_a_long_text(folders: tuple[Path, Path]) -> None:
    """Pillow refuses texts above 1 MiB, and with them the picture."""
    pictures, masks = folders
    expected = read_pairs(pictures, masks).classes
    text = PngInfo()
    text.add_text("Comment", "x" * (2 << 20), zip=True)
    with Image.open(masks / "a.png") as mask:
        mask.save(masks / "a.png", pnginfo=text)
    np.testing.assert_array_equal(read_pairs(pictures, masks).classes, expected)


def test_what_is_refused(folders: tuple[Path, Path], tmp_path: Path) -> None:
    pictures, masks = folders
    good = (masks / "a.png").read_bytes()
    classes = np.zeros((90, 120), np.uint8)
    classes[7, 8] = 21

    def refused(message: str) -> None:
        with pytest.raises(FormatError, match=message):
            read_pairs(pictures, masks)
        (masks / "a.png").write_bytes(good)

    save_mask(masks / "a.png", classes)
    refused("a.png: expected classes 0 to 20 or 255, found 21 at row 7, column 8")
    save_mask(masks / "a.png", classes[:, :100])
    refused("a.png: expected classes")
    save_mask(masks / "a.png", np.zeros((80, 120), np.uint8))
    refused("a.png: 120 x 80 pixels, but its picture has 120 x 90")
    Image.new("RGB", (120, 90)).save(masks / "a.png")
    refused("a.png: expected indexed or 8-bit grey, found RGB")
    (masks / "a.png").write_bytes(four_bits(classes // 21))
    refused("a.png: expected indexed or 8-bit grey, found 4-bit grey")
    (masks / "a.png").write_bytes(good[:60])
    refused("a.png: not a mask that can be read")
    (masks / "a.png").write_bytes(b"\xff\xd8")
    refused("a.png: expected a PNG")
    save_mask(masks / "c.png", np.zeros((9, 9), np.uint8))
    refused("c.png: there is no picture c in")
    (masks / "c.png").unlink()
    (pictures / "a.jpg").write_bytes(b"\xff\xd8")
    refused("a.jpg: ")
    (pictures / "a.jpg").unlink()
    os.mkfifo(pictures / "a.jpg")
    refused("a.jpg: expected a file, found a pipe")
    with pytest.raises(FormatError, match="expected masks, found no .png"):
        read_pairs(pictures, pictures.parent)
    with pytest.raises(FileNotFoundError):
        read_pairs(pictures, tmp_path / "missing")
