from __future__ import annotations

import io
import os
import threading
from pathlib import Path

import numpy as np
import pytest

from facegen.errors import FormatError
from facegen.numbers import counted_arrays
from facegen.numbers.text import LatentReader, ResultReader, ResultWriter, read_results


def latent_text(count: int, numbers: int | None = None) -> bytes:
    values = np.random.default_rng(0).uniform(-1, 1, count * 100 if numbers is None else numbers)
    return b"%d\n" % count + b" ".join(b"%.6f" % v for v in values) + b"\n"


def read(source: bytes | Path, size: int = 7, **options: object) -> np.ndarray:
    stream = io.BytesIO(source) if isinstance(source, bytes) else source
    with LatentReader(stream, **options) as reader:  # type: ignore[arg-type]
        chunks = list(reader.chunks(size))
    assert reader.warnings == []
    assert all(len(chunk) == size for chunk in chunks[:-1])
    return np.concatenate(chunks)


def test_latents_of_the_reference(course_data: Path) -> None:
    for name, count in (("input1.txt", 10), ("input2.txt", 100)):
        words = (course_data / name).read_text().split()
        expected = np.array(words[1:], np.float64).astype(np.float32).reshape(count, 100)
        latents = read(course_data / name)
        assert latents.dtype == np.float32
        np.testing.assert_array_equal(latents, expected)


@pytest.mark.parametrize("block", [1, 3, 5, 100, 1 << 22])
@pytest.mark.parametrize("size", [1, 3, 1000])
def test_block_and_chunk_sizes(monkeypatch: pytest.MonkeyPatch, block: int, size: int) -> None:
    monkeypatch.setattr(counted_arrays, "_BLOCK_BYTES", block)
    source = b" \n\n\t" + latent_text(5)
    expected = np.array(source.split()[1:], np.float64).astype(np.float32).reshape(5, 100)
    np.testing.assert_array_equal(read(source, size), expected)
    np.testing.assert_array_equal(read(b"\xef\xbb\xbf" + source, size), expected)


def test_one_line_and_one_number_a_line() -> None:
    source = latent_text(3)
    expected = read(source)
    np.testing.assert_array_equal(read(source.replace(b"\n", b" ").strip()), expected)
    np.testing.assert_array_equal(read(source.replace(b" ", b"\r\n")), expected)


def test_items_one_by_one() -> None:
    with LatentReader(io.BytesIO(latent_text(130))) as reader:
        latents = list(reader)
    assert len(latents) == 130
    assert latents[0].shape == (100,)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (b"", "empty, expected the number of latents"),
        (b" \n\t ", "empty, expected the number of latents"),
        (b"abc", "line 1, column 1: 'abc' is not a number of latents"),
        (b"\n\n  -5 1 2", "line 3, column 3: '-5' is not a number of latents"),
        (b"1.5 1 2", "line 1, column 1: '1.5' is not a number of latents"),
        (b"1e1 1 2", "'1e1' is not a number of latents"),
        (b"99999999999999999999999 1", "'99999999999999999999999' is not a number of latents"),
        (b"2147483648 1", "'2147483648' is not a number of latents"),
        (b"\x00\xff\n", r"'\\x00\\xff' is not a number of latents"),
        ("3 7".encode("utf-16"), r"'\\xff\\xfe3\\x00' is not a number of latents"),
        (b"\xef\xbb\xbf", "empty, expected the number of latents"),
        (b"\xef\xbb\xbf\xef\xbb\xbf1 7", r"column 1: '\\xef\\xbb\\xbf1' is not a number of"),
        (b"3", r"expected 300 numbers \(3 latents\), found 0 before the end in line 1"),
        (b"3\n", r"expected 300 numbers \(3 latents\), found 0 before the end in line 2"),
        (latent_text(15, 1400).strip(), r"expected 1,500 numbers .*, found 1,400 before .* line 2"),
        (b"9" * 100_000, "is not a number of latents"),
        (b"0\n", "announces 0 latents, expected at least 1"),
        (latent_text(3, 250), r"expected 300 numbers \(3 latents\), found 250 .* in line 3"),
        (b"2147483647 1 2", r"expected 214,748,364,700 numbers .*, found 2 "),
        (b"1\n0.5 abc", "line 2, column 5: 'abc' is not a number"),
        (b"1\n0.5 nan", "line 2, column 5: 'nan' is not a finite number"),
        (b"1 inf", "line 1, column 3: 'inf' is not a finite number"),
        (latent_text(1) + b"tail", "line 3, column 1: 'tail' is not a number"),
    ],
)
def test_bad_input(source: bytes, message: str) -> None:
    with pytest.raises(FormatError, match=message) as caught:
        read(source)
    assert str(caught.value).startswith("<stream>: ")
    assert str(caught.value).isprintable()


def test_count_is_checked_against_the_size(tmp_path: Path) -> None:
    path = tmp_path / "in.txt"
    path.write_bytes(b"1000000\n0.5 0.5\n")
    with pytest.raises(FormatError, match=r"in\.txt: announces 1,000,000 .* only 16 bytes"):
        LatentReader(path)


def test_shortest_possible_file(tmp_path: Path) -> None:
    path = tmp_path / "in.txt"
    path.write_bytes(b"1" + b" 7" * 100)
    np.testing.assert_array_equal(read(path), np.full((1, 100), 7, np.float32))


def test_empty_is_allowed_where_asked() -> None:
    with LatentReader(io.BytesIO(b"0\n"), allow_empty=True) as reader:
        assert reader.count == 0
        assert list(reader.chunks(4)) == []


def test_more_numbers_than_announced_are_a_warning() -> None:
    with LatentReader(io.BytesIO(latent_text(2, 205))) as reader:
        (chunk,) = reader.chunks(10)
    assert chunk.shape == (2, 100)
    assert reader.warnings == [
        "<stream>: 5 more numbers than the 200 announced (2 latents): ignored"
    ]


@pytest.mark.parametrize(
    ("name", "error"), [("missing", FileNotFoundError), (".", IsADirectoryError)]
)
def test_unreadable_path_is_named(tmp_path: Path, name: str, error: type[OSError]) -> None:
    with pytest.raises(error) as caught:
        LatentReader(tmp_path / name)
    assert str(caught.value.filename) == str(tmp_path / name)


def test_pipe(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_bytes(latent_text(2000)))
    writer.start()
    latents = read(pipe, 64)
    writer.join()
    np.testing.assert_array_equal(latents, read(latent_text(2000), 64))


def faces(count: int) -> np.ndarray:
    rng = np.random.default_rng(count)
    return np.tanh(rng.standard_normal((count, 64, 64, 3))).astype(np.float32)


def test_results_of_the_reference_come_back(course_data: Path, tmp_path: Path) -> None:
    answer = course_data / "answer1.txt"
    with ResultWriter(tmp_path / "out.txt", 10, threads=2) as writer:
        for chunk in read_results(answer, 3):
            writer.write(chunk)
    assert (tmp_path / "out.txt").read_bytes() == answer.read_bytes()


def test_results_round_trip(tmp_path: Path) -> None:
    images = faces(70)
    path = tmp_path / "out.txt"
    with ResultWriter(path, 70) as writer:
        writer.write(images[:66])
        writer.write(images[66:])
    expected = b"70\n" + b"".join(
        b"".join(b"%.4f " % v for v in image) + b"\n" for image in images.reshape(70, -1).tolist()
    )
    assert path.read_bytes() == expected
    with ResultReader(path) as reader:
        assert reader.count == 70
        back = np.concatenate(list(reader.chunks(32)))
    assert np.abs(back - images).max() <= 0.5e-4 + 1e-7


def test_results_may_hold_nan(tmp_path: Path) -> None:
    images = np.full((1, 64, 64, 3), np.nan, np.float32)
    with ResultWriter(tmp_path / "out.txt", 1) as writer:
        writer.write(images)
    (back,) = read_results(tmp_path / "out.txt")
    assert np.isnan(back).all()


def test_wrong_number_or_shape_of_faces(tmp_path: Path) -> None:
    path = tmp_path / "out.txt"
    with pytest.raises(ValueError, match="1 faces for a file of 2"), ResultWriter(path, 2) as out:
        out.write(faces(1))
    with pytest.raises(ValueError, match="3 faces for a file of 2"), ResultWriter(path, 2) as out:
        out.write(faces(3))
    with pytest.raises(ValueError, match="shape"), ResultWriter(path, 2) as out:
        out.write(np.zeros((2, 64, 64), np.float32))
    assert os.listdir(tmp_path) == []


def test_full_disk() -> None:
    with pytest.raises(OSError, match="/dev/full"), ResultWriter("/dev/full", 20) as writer:
        writer.write(faces(20))
