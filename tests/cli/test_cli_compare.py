"""facegen compare."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest
from command_line import Run

from facegen.comparison import compare
from facegen.numbers.text import ResultWriter
from shared_data import SHARED_DATA


def write_text(path: str, faces: np.ndarray) -> None:
    with ResultWriter(path, len(faces)) as writer:
        writer.write(faces.astype(np.float32))


@pytest.fixture
def faces() -> np.ndarray:
    return np.random.default_rng(1).uniform(-1, 1, (3, 64, 64, 3)).round(3)


def test_texts(run: Run, faces: np.ndarray) -> None:
    write_text("a.txt", faces)
    assert run("compare", "a.txt", "a.txt") == (0, "same: 36,864 values\n", "")
    other = faces.copy()
    other[0, 0, 0, 0] += 0.0009  # within the tolerance
    write_text("b.txt", other)
    result = run("compare", "a.txt", "b.txt")
    assert result.code == 0 and result.out.startswith("same") and "largest: 0.0009" in result.out
    other[1, 2, 3, 1], faces[1, 2, 3, 1] = 0.25, 0.5
    other[2, 0, 0, 2], faces[2, 0, 0, 2] = -0.75, 0.5
    write_text("a.txt", faces)
    write_text("b.txt", other)
    result = run("compare", "a.txt", "b.txt")
    assert result.code == 1 and result.err == ""
    assert result.out.splitlines() == [
        "different: 2 of 36,864 values",
        "first  : pixel (2, 3, 1) of image 1: 0.5 against 0.25",
        "largest: 1.25 at pixel (0, 0, 2) of image 2: 0.5 against -0.75",
    ]
    assert run("compare", "-q", "a.txt", "b.txt") == (1, "", "")
    assert run("compare", "--tolerance", 2, "a.txt", "b.txt").code == 0
    write_text("b.txt", other[:2])
    result = run("compare", "a.txt", "b.txt")
    assert result.code == 1
    assert result.out == "different: a.txt holds 36,864 values, b.txt 24,576\n"


def test_pipes(run: Run, faces: np.ndarray) -> None:
    """A pipe gives its first bytes once: what tells the kind of a result is a part of it."""
    write_text("a.txt", faces)
    for name in ("a.fifo", "a.rgb"):
        os.mkfifo(name)
    with feeding("a.fifo", Path("a.txt").read_bytes()):
        assert run("compare", "a.fifo", "a.txt") == (0, "same: 36,864 values\n", "")
    Path("b.rgb").write_bytes(bytes(256 * 256 * 3))
    with feeding("a.rgb", bytes(256 * 256 * 3)):
        result = run("compare", "a.rgb", "b.rgb")
    assert result.code == 2
    assert "a.rgb: expected a regular file, found a pipe or a device" in result.err


@contextmanager
def feeding(pipe: str, data: bytes) -> Iterator[None]:
    def write() -> None:
        with suppress(BrokenPipeError):
            Path(pipe).write_bytes(data)

    writer = threading.Thread(target=write)
    writer.start()
    yield
    writer.join()


def test_the_relative_tolerance_is_that_of_the_answer(run: Run) -> None:
    np.array([1000.0, 0, -5000], "<f4").tofile("b.bin")
    np.array([1000.9, 0, -5004], "<f4").tofile("a.bin")
    assert run("compare", "a.bin", "b.bin").code == 0
    np.array([1001.1, 0, -5004], "<f4").tofile("a.bin")
    result = run("compare", "a.bin", "b.bin")
    assert result.code == 1 and "value 0 (byte 0): 1001.1 against 1000.0" in result.out
    # 1.001 is out of 1e-3 of 1, but 1 is within 1e-3 of 1.0011.
    np.array([1.0], "<f4").tofile("a.bin")
    np.array([1.00105], "<f4").tofile("b.bin")
    assert run("compare", "a.bin", "b.bin").code == 1
    np.array([2.0], "<f4").tofile("a.bin")
    np.array([2.0019], "<f4").tofile("b.bin")
    assert run("compare", "a.bin", "b.bin").code == 0


def test_values_that_are_not_finite(run: Run) -> None:
    values = np.array([1, np.nan, np.inf, -np.inf], "<f4")
    values.tofile("a.bin")
    result = run("compare", "a.bin", "a.bin")
    assert (
        result.code == 1 and "different: 1 of 4" in result.out and "nan against nan" in result.out
    )
    values[1] = 0
    values.tofile("a.bin")
    assert run("compare", "a.bin", "a.bin").code == 0
    values[[2, 3]] = values[[3, 2]]
    values.tofile("b.bin")
    result = run("compare", "a.bin", "b.bin")
    assert result.code == 1 and "inf against -inf" in result.out
    np.array([0x7F800001], "<u4").tofile("a.bin")  # signalling NaN is no warning
    result = run("compare", "a.bin", "a.bin")
    assert (result.code, result.err) == (1, "") and "nan against nan" in result.out


def test_pictures(run: Run) -> None:
    pictures = np.random.default_rng(2).integers(0, 256, (2, 256, 256, 3), np.uint8)
    pictures.tofile("a.rgb")
    assert run("compare", "a.rgb", "a.rgb").out == "same: 393,216 values\n"
    pictures[1, 5, 6, 2] ^= 1
    pictures.tofile("b.rgb")
    result = run("compare", "a.rgb", "b.rgb")
    assert result.code == 1 and "pixel (5, 6, 2) of image 1" in result.out
    Path("c.rgb").write_bytes(b"x" * 1000)
    result = run("compare", "a.rgb", "c.rgb")
    assert result.code == 2 and "c.rgb: 1,000 bytes are no whole number of 256x256x3" in result.err


def test_large_files_are_streamed(tmp_path: Path) -> None:
    values = np.zeros((1 << 21) + 77, "<f4")
    values.tofile(tmp_path / "a.bin")
    values[-2] = 7
    values.tofile(tmp_path / "b.bin")
    result = compare(tmp_path / "a.bin", tmp_path / "b.bin")
    assert result.first is not None and result.first.at == values.size - 2
    assert result.largest == result.first and result.differing == 1


def test_the_answer_of_the_course(run: Run) -> None:
    answer = SHARED_DATA / "course-facegen" / "answer1.txt"
    if not answer.exists():
        pytest.skip(f"{answer} is not there")
    assert run("compare", answer, answer).out == "same: 122,880 values\n"


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.txt", b"", "empty"),
        ("a.txt", b"1\n0.5 ", "before the end|announces"),
        ("a.txt", b"1\n" + b"x " * 12288, "no result|neither text"),
        ("a.dat", b"\x00\x01", "neither text"),
        ("a.bin", b"abc", "no whole number of float32"),
    ],
)
def test_files_that_are_no_results(run: Run, name: str, data: bytes, message: str) -> None:
    Path(name).write_bytes(data)
    for arguments in ((name, name), (name, "missing")):
        result = run("compare", *arguments)
        assert result.code == 2 and len(result.err.splitlines()) == 1
        assert re.search(message, result.err) or "missing" in result.err


def test_files_of_two_kinds(run: Run) -> None:
    Path("a.bin").write_bytes(bytes(4))
    Path("b.rgb").write_bytes(bytes(256 * 256 * 3))
    result = run("compare", "a.bin", "b.rgb")
    assert result.code == 2 and "a.bin is float32, b.rgb is uint8" in result.err


def test_a_folder(run: Run) -> None:
    os.mkdir("folder")
    result = run("compare", "folder", "folder")
    assert result == (2, "", "facegen: error: folder: Is a directory\n")
