"""Pairs of pictures: which there are, how they are read and how training shows them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from facegen.errors import FormatError
from facegen.train.pix2pix.jitter import jittered, values
from facegen.train.pix2pix.pairs import Pair, find, read

RED, BLUE = (255, 0, 0), (0, 0, 255)


def write(path: Path, size: tuple[int, int], colour: tuple[int, ...]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)


def side_by_side(path: Path, width: int = 64, height: int = 48) -> None:
    pixels = np.full((height, 2 * width, 3), RED, np.uint8)
    pixels[:, width:] = BLUE
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


@pytest.mark.parametrize(("direction", "colours"), [("AtoB", (RED, BLUE)), ("BtoA", (BLUE, RED))])
@pytest.mark.parametrize("form", ["side by side", "folders"])
def test_a_pair_in_both_forms(
    tmp_path: Path, form: str, direction: str, colours: tuple[tuple[int, ...], ...]
) -> None:
    if form == "folders":
        write(tmp_path / "A" / "house.png", (40, 30), RED)
        write(tmp_path / "B" / "house.bmp", (64, 64), BLUE)
    else:
        side_by_side(tmp_path / "house.png")
    (pair,) = find(tmp_path).pairs
    assert pair.name == "house"
    both = read(pair, 32, direction)
    assert both.shape == (2, 32, 32, 3) and both.dtype == np.uint8
    for picture, colour in zip(both, colours, strict=True):
        assert (picture == colour).all()


def test_pairs_are_in_order_of_their_names(tmp_path: Path) -> None:
    for name in ("c", "a", "b"):
        side_by_side(tmp_path / f"{name}.png")
    side_by_side(tmp_path / ".hidden.png")
    (tmp_path / "notes.txt").write_text("no picture")
    found = find(tmp_path)
    assert [pair.name for pair in found.pairs] == ["a", "b", "c"] and not found.skipped


def test_what_has_no_other_half_is_skipped(tmp_path: Path) -> None:
    for name in ("A/one.png", "A/two.png", "B/two.png", "B/three.png"):
        write(tmp_path / name, (8, 8), RED)
    found = find(tmp_path)
    assert [pair.name for pair in found.pairs] == ["two"]
    assert found.skipped == [
        (str(tmp_path / "A" / "one.png"), f"there is no one in {tmp_path / 'B'}"),
        (str(tmp_path / "B" / "three.png"), f"there is no three in {tmp_path / 'A'}"),
    ]


def test_folders_without_a_pair(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="found neither"):
        find(tmp_path)
    write(tmp_path / "A" / "one.png", (8, 8), RED)
    with pytest.raises(FormatError, match="there is no B"):
        find(tmp_path)
    write(tmp_path / "B" / "two.png", (8, 8), RED)
    with pytest.raises(FormatError, match=r"A \(1\) has the name of one of .*B \(1\)"):
        find(tmp_path)
    with pytest.raises(OSError):
        find(tmp_path / "none")


def test_pictures_that_are_no_pairs(tmp_path: Path) -> None:
    write(tmp_path / "odd.png", (65, 32), RED)
    with pytest.raises(FormatError, match=r"odd\.png: .* found 65 pixels"):
        read(Pair("odd", (tmp_path / "odd.png",)), 32)
    with pytest.raises(FormatError, match=r"gone\.png: No such file"):
        read(Pair("gone", (tmp_path / "gone.png",)), 32)
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(FormatError, match=r"broken\.png"):
        read(Pair("broken", (tmp_path / "broken.png",)), 32)


def test_what_is_transparent_becomes_white(tmp_path: Path) -> None:
    Image.new("RGBA", (64, 32), (0, 0, 0, 0)).save(tmp_path / "clear.png")
    assert (read(Pair("clear", (tmp_path / "clear.png",)), 32) == 255).all()


@given(st.integers(4, 12), st.integers(0, 8), st.integers(0, 2**32), st.booleans())
def test_both_pictures_are_moved_alike(side: int, more: int, seed: int, mirror: bool) -> None:
    height, width = side + more, side + more // 2
    first = np.arange(height * width * 3, dtype=np.uint32).reshape(height, width, 3) % 251
    pair = np.stack([first, 250 - first]).astype(np.uint8)
    crop = jittered(pair, side, np.random.default_rng(seed), mirror)
    assert crop.shape == (2, side, side, 3)
    assert (crop[0].astype(int) + crop[1] == 250).all()
    flips = (crop[0], crop[0, :, ::-1]) if mirror else (crop[0],)
    windows = np.lib.stride_tricks.sliding_window_view(first, (side, side, 3))
    places = windows.reshape(-1, side, side, 3)
    assert any((places == flip).all(axis=(1, 2, 3)).any() for flip in flips)


def test_bytes_as_the_network_sees_them() -> None:
    seen = values(np.array([0, 51, 255], np.uint8))
    np.testing.assert_allclose(seen, [-1.0, -0.6, 1.0], rtol=0, atol=2 * np.finfo(np.float32).eps)
