"""Pictures from folders and arrays."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from facegen import FormatError
from facegen.numbers.pixels import to_uint8
from facegen.photos import photo
from facegen.train.faces.data import read_pictures, to_values
from facegen.train.reports import CHECKPOINT, LOG


def halves(width: int, height: int) -> Image.Image:
    """Red on the left, blue on the right."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[:, : width // 2, 0] = 255
    pixels[:, width // 2 :, 2] = 255
    return Image.fromarray(pixels)


def test_a_folder(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    halves(64, 64).save(tmp_path / "a.png")
    halves(200, 100).save(tmp_path / "b" / "wide.bmp")
    halves(100, 300).convert("L").save(tmp_path / "b" / "tall.png")
    halves(640, 480).save(tmp_path / "c.jpg", quality=95)
    (tmp_path / "broken.png").write_bytes((tmp_path / "a.png").read_bytes()[:60])
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / ".hidden.png").write_bytes(b"")
    (tmp_path / "gone.png").symlink_to("nowhere.png")
    os.mkfifo(tmp_path / "pipe.png")
    found = read_pictures(tmp_path)
    assert found.pixels.shape == (4, 64, 64, 3) and len(found) == 4
    skipped = [os.path.basename(reason.partition(": ")[0]) for reason in found.skipped]
    assert skipped == ["broken.png", "gone.png", "notes.txt", "pipe.png"]
    np.testing.assert_array_equal(found.pixels[0], np.asarray(halves(64, 64)))  # a.png, as it is
    for picture in (found.pixels[1], found.pixels[2]):  # b/tall.png is grey, b/wide.bmp
        assert picture[:, :28].std(axis=(0, 1)).max() < 3
    for picture in (found.pixels[2], found.pixels[3]):
        assert (picture[32, 5] == [255, 0, 0]).all() or abs(int(picture[32, 5, 0]) - 255) < 4
        assert abs(int(picture[32, 60, 2]) - 255) < 4


@pytest.mark.parametrize("name", [CHECKPOINT, LOG])
def test_what_a_run_left_there_is_not_learned(tmp_path: Path, name: str) -> None:
    """`facegen train .`: the samples of the run lie among the pictures when it goes on."""
    for folder in (tmp_path, tmp_path / "network.bin.run", tmp_path / "network.bin.run" / "deeper"):
        folder.mkdir(exist_ok=True)
        halves(64, 64).save(folder / "samples-000001.png")
    (tmp_path / "network.bin.run" / name).write_bytes(b"")
    found = read_pictures(tmp_path)
    assert len(found) == 1 and not found.skipped


def test_pictures_are_turned_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # orientation: to be turned a quarter clockwise
    lying = halves(64, 64).rotate(90)  # counterclockwise: red below
    lying.save(tmp_path / "a.png", exif=exif)
    found = read_pictures(tmp_path).pixels[0]
    np.testing.assert_array_equal(found, np.asarray(halves(64, 64)))


def test_every_kind_of_picture_is_read_as_everywhere(tmp_path: Path) -> None:
    """16 bits are scaled, a colour profile is converted from, what is transparent becomes white."""
    values = np.linspace(0, 65535, 64 * 64).astype(np.uint16).reshape(64, 64)
    Image.fromarray(values).save(tmp_path / "a.png")
    halves(64, 64).save(tmp_path / "b.png", icc_profile=swapped_profile())
    clear = np.zeros((64, 64, 4), np.uint8)
    clear[:32] = 10, 20, 30, 255
    Image.fromarray(clear).save(tmp_path / "c.png")
    grey, swapped, opaque = read_pictures(tmp_path).pixels
    np.testing.assert_array_equal(grey[..., 0], np.rint(values / 257))
    assert np.abs(swapped[32, 5].astype(int) - [0, 255, 0]).max() < 3
    assert (opaque[:32] == [10, 20, 30]).all() and (opaque[32:] == 255).all()


def swapped_profile() -> bytes:
    """sRGB's ICC profile, with red and green changing places, and another name."""
    data = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    tags = {bytes(data[i : i + 4]): i for i in range(132, 132 + 12 * data[131], 12)}
    places = [slice(tags[name] + 4, tags[name] + 12) for name in (b"rXYZ", b"gXYZ")]
    data[places[0]], data[places[1]] = data[places[1]], data[places[0]]
    return bytes(data).replace("sRGB".encode("utf-16-be"), "swap".encode("utf-16-be"))


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_a_large_photo_is_decoded_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is above Pillow's limit is refused all the same."""
    halves(1200, 900).save(tmp_path / "a.jpg", quality=95)
    decoded = photo.decode((tmp_path / "a.jpg").read_bytes(), least_side=128)
    assert decoded.pixels.shape == (225, 300, 3)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1_000_000)
    with pytest.raises(FormatError, match="found 1 files that are none"):
        read_pictures(tmp_path)


def test_an_array(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 64, 64, 3), dtype=np.uint8)
    np.save(tmp_path / "a.npy", pixels)
    np.testing.assert_array_equal(read_pictures(tmp_path / "a.npy").pixels, pixels)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((2, 64, 64, 3)), "found float64 of shape"),
        (np.zeros((2, 32, 32, 3), np.uint8), r"found uint8 of shape \(2, 32, 32, 3\)"),
        (np.zeros((0, 64, 64, 3), np.uint8), "holds no pictures"),
    ],
)
def test_bad_arrays(tmp_path: Path, array: np.ndarray, message: str) -> None:
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(FormatError, match=message):
        read_pictures(tmp_path / "a.npy")


def test_bad_sources(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="expected pictures, found no files"):
        read_pictures(tmp_path)
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(FormatError, match="found 1 files that are none"):
        read_pictures(tmp_path)
    with pytest.raises(FormatError, match="a.txt: expected a folder or a .npy"):
        read_pictures(tmp_path / "a.txt")
    with pytest.raises(FileNotFoundError):
        read_pictures(tmp_path / "missing")


def test_values_give_the_same_bytes_back() -> None:
    pixels = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1).repeat(3, axis=3)
    values = to_values(pixels)
    assert values.dtype == np.float32 and np.abs(values).max() <= 1
    np.testing.assert_array_equal(to_uint8(values), pixels)
