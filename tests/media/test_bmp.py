from __future__ import annotations

import io
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facegen.errors import FormatError
from facegen.media.bmp import GridWriter, bmp_header, grid_side, write_bmp
from facegen.numbers.pixels import to_uint8
from facegen.numbers.text import read_results


def faces(count: int) -> np.ndarray:
    return np.random.default_rng(count).uniform(-1, 1, (count, 64, 64, 3)).astype(np.float32)


def tiled(images: np.ndarray) -> np.ndarray:
    """The picture by its definition, one face after another."""
    side = int(np.ceil(np.sqrt(len(images))))
    picture = np.zeros((side * 64, side * 64, 3), np.uint8)
    for i, image in enumerate(images):
        y, x = i // side * 64, i % side * 64
        picture[y : y + 64, x : x + 64] = ((image + np.float32(1)) / 2 * 255).astype(np.int32)
    return picture


def test_as_the_reference(course_data: Path, tmp_path: Path) -> None:
    """Equal but for values that the text's four digits moved over the edge of a level."""
    images = np.concatenate(list(read_results(course_data / "answer1.txt")))
    write_bmp(tmp_path / "out.bmp", images)
    found = (tmp_path / "out.bmp").read_bytes()
    expected = (course_data / "answer1.bmp").read_bytes()
    assert len(found) == len(expected)
    assert found[:54] == expected[:54]
    reference = np.asarray(Image.open(io.BytesIO(expected)))
    # The value before it was rounded to text lies within half a unit of the fourth digit (and a
    # little more for float32's own rounding): so its level lies between those of the two ends.
    half = np.float32(0.5e-4 + 1e-7)
    low, high = tiled(np.maximum(images - half, -1)), tiled(np.minimum(images + half, 1))
    assert ((low <= reference) & (reference <= high)).all()
    difference = np.abs(np.asarray(Image.open(tmp_path / "out.bmp")).astype(int) - reference)
    assert difference.max() <= 1
    assert np.count_nonzero(difference) < 0.01 * difference.size


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 6, 9, 10, 17])
@pytest.mark.parametrize("chunk", [1, 3, 100])
def test_pillow_reads_the_tiles(tmp_path: Path, count: int, chunk: int) -> None:
    images = faces(count)
    path = tmp_path / "out.bmp"
    with GridWriter(path, count) as writer:
        for start in range(0, count, chunk):
            writer.write(images[start : start + chunk])
    with Image.open(path) as picture:
        assert picture.mode == "RGB"
        np.testing.assert_array_equal(np.asarray(picture), tiled(images))
    assert path.stat().st_size == 54 + tiled(images).size


def test_uint8_images(tmp_path: Path) -> None:
    write_bmp(tmp_path / "float.bmp", faces(3))
    write_bmp(tmp_path / "uint8.bmp", to_uint8(faces(3)))
    assert (tmp_path / "float.bmp").read_bytes() == (tmp_path / "uint8.bmp").read_bytes()


@pytest.mark.parametrize(
    ("count", "side"), [(1, 1), (2, 2), (4, 2), (5, 3), (9, 3), (10, 4), (10**10, 10**5)]
)
def test_grid_side(count: int, side: int) -> None:
    assert grid_side(count) == side


def test_size_limit_is_checked_first(tmp_path: Path) -> None:
    path = tmp_path / "out.bmp"
    with pytest.raises(FormatError, match=r"out\.bmp: a BMP of 349,282 .* at most 349,281 faces"):
        GridWriter(path, 349_282)
    assert os.listdir(tmp_path) == []
    largest = 591 * 591 * 64 * 64 * 3 + 54
    assert bmp_header(591 * 64, 591 * 64)[2:6] == largest.to_bytes(4, "little")
    with pytest.raises(RuntimeError), GridWriter(path, 349_281):
        raise RuntimeError  # opened, so the size was accepted


def test_many_faces_go_to_their_place(tmp_path: Path) -> None:
    """A row in the middle of a large (sparse) file."""
    count = 100 * 100
    one = np.full((1, 64, 64, 3), 1.0, np.float32)
    black = np.full((100, 64, 64, 3), -1.0, np.float32)
    path = tmp_path / "out.bmp"
    with GridWriter(path, count) as writer:
        for row in range(100):
            writer.write(black if row != 40 else np.concatenate([black[:7], one, black[8:]]))
    pixels = np.memmap(path, np.uint8, "r", 54, (6400, 6400, 3))[::-1]
    white = np.argwhere(pixels[::64, ::64, 0] != 0)
    np.testing.assert_array_equal(white, [[40, 7]])


def test_wrong_number_or_shape_of_faces(tmp_path: Path) -> None:
    path = tmp_path / "out.bmp"
    with pytest.raises(ValueError, match="1 faces .* of 2"), GridWriter(path, 2) as writer:
        writer.write(faces(1))
    with pytest.raises(ValueError, match="3 faces .* of 2"), GridWriter(path, 2) as writer:
        writer.write(faces(3))
    with pytest.raises(ValueError, match="shape"), GridWriter(path, 2) as writer:
        writer.write(faces(2)[..., :1])
    with pytest.raises(ValueError, match="at least 1"):
        GridWriter(path, 0)
    assert os.listdir(tmp_path) == []


def test_full_disk() -> None:
    with pytest.raises(OSError, match="/dev/full"):
        write_bmp("/dev/full", faces(10))


def test_pipe(tmp_path: Path) -> None:
    code = (
        "import numpy as np\n"
        "from facegen.media.bmp import write_bmp\n"
        "write_bmp('/dev/stdout', np.linspace(-1, 1, 5 * 12288).reshape(5, 64, 64, 3))\n"
    )
    result = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, check=True)
    write_bmp(tmp_path / "out.bmp", np.linspace(-1, 1, 5 * 12288).reshape(5, 64, 64, 3))
    assert result.stdout == (tmp_path / "out.bmp").read_bytes()


@pytest.mark.parametrize("count", [1, 4, 5, 7])
def test_a_picture_is_resumed_after_any_face(count: int, tmp_path: Path) -> None:
    """Synchronized after every face, the last one too, and begun anew by another writer."""
    faces = np.random.default_rng(count).integers(1, 256, (count, 64, 64, 3), np.uint8)
    write_bmp(tmp_path / "whole.bmp", faces)
    path = tmp_path / "parts.bmp"
    kept = 0
    for i in range(count):
        with suppress(InterruptedError), GridWriter(path, count, resume=(i, kept)) as writer:
            writer.write(faces[i : i + 1])
            kept = writer.synchronize()
            if i + 1 < count:
                raise InterruptedError
    assert path.read_bytes() == (tmp_path / "whole.bmp").read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["parts.bmp", "whole.bmp"]
