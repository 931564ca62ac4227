"""IDX files: what is read, and that nothing else gets through."""

from __future__ import annotations

import gzip
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facegen import FormatError
from facegen.numbers import idx
from memory import outcome_within


def encoded(values: np.ndarray) -> bytes:
    sizes = np.array(values.shape, ">u4").tobytes()
    return bytes([0, 0, 8, values.ndim]) + sizes + values.tobytes()


IMAGES = np.random.default_rng(0).integers(0, 256, (5, 4, 3), dtype=np.uint8)


@given(st.lists(st.integers(0, 5), min_size=1, max_size=4), st.booleans(), st.integers(0, 99))
@settings(deadline=None)
def test_round_trip(shape: list[int], zipped: bool, seed: int) -> None:
    values = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    data = encoded(values)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "array")
        path.write_bytes(gzip.compress(data) if zipped else data)
        assert idx.is_idx(path.read_bytes())
        np.testing.assert_array_equal(idx.read(path, len(shape)), values)


@pytest.mark.parametrize("zipped", [False, True])
def test_every_cut_and_every_addition_is_refused(tmp_path: Path, zipped: bool) -> None:
    path = tmp_path / "images"
    data = encoded(IMAGES)
    for wrong in [data[:end] for end in range(len(data))] + [data + b"\0"]:
        path.write_bytes(gzip.compress(wrong) if zipped else wrong)
        with pytest.raises(FormatError, match="images: "):
            idx.read(path, 3)


@given(
    st.binary(max_size=40)
    | st.tuples(st.sampled_from([b"\0\0\x08\3", b"\x1f\x8b", b"\0\0"]), st.binary(max_size=40)).map(
        b"".join
    ),
    st.booleans(),
)
@settings(deadline=None)
def test_hostile_files(data: bytes, zipped: bool) -> None:
    """An array of the announced size, or a FormatError."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "hostile")
        path.write_bytes(gzip.compress(data) if zipped else data)
        idx.is_idx(path.read_bytes())
        try:
            values = idx.read(path, 3)
        except FormatError as error:
            assert str(error).startswith(f"{path}: ") and "\n" not in str(error)
        else:
            assert encoded(values) == data


@given(st.integers(0, len(gzip.compress(encoded(IMAGES))) - 1), st.integers(1, 255))
@settings(deadline=None)
def test_a_changed_byte_of_a_gzip_file(place: int, change: int) -> None:
    data = bytearray(gzip.compress(encoded(IMAGES), mtime=0))
    data[place % len(data)] ^= change
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "changed.gz")
        path.write_bytes(data)
        try:
            values = idx.read(path, 3)
        except FormatError:
            return
    np.testing.assert_array_equal(values, IMAGES)  # a byte that says when, on what, by what name


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("size", [100, 2**32 - 1])
def test_sizes_are_not_believed(tmp_path: Path, zipped: bool, size: int) -> None:
    """10^6 or 8 * 10^28 bytes are announced by a file of 16: no memory is taken for them."""
    path = tmp_path / "bomb"
    data = bytes([0, 0, 8, 3]) + np.full(3, size, ">u4").tobytes()
    path.write_bytes(gzip.compress(data) if zipped else data)
    with pytest.raises(FormatError, match="announces .* more than the file holds|over 2,147,483"):
        idx.read(path, 3)


def test_sizes_of_an_empty_array_are_not_believed() -> None:
    header = bytes([0, 0, 8, 3]) + np.array([0, 2**32 - 1, 2**32 - 1], ">u4").tobytes()
    with pytest.raises(
        FormatError, match="announces 0 x 4,294,967,295 x 4,294,967,295 bytes, over"
    ):
        idx.parse(header, 3)
    with pytest.raises(FormatError, match="over 2,147,483,648"):
        idx.count(header, 3)


@pytest.mark.parametrize(("values", "found"), [(1 << 28, "268,435,456"), (1 << 29, "more")])
def test_a_small_gzip_file_is_refused_in_little_memory(
    tmp_path: Path, values: int, found: str
) -> None:
    """0.3 MB that unpacks to less or more than the 268 MB that it announces."""
    path = tmp_path / "bomb.gz"
    piece = gzip.compress(bytes(1 << 24))
    sizes = np.array([16_385, 1 << 7, 1 << 7], ">u4").tobytes()
    path.write_bytes(gzip.compress(bytes([0, 0, 8, 3]) + sizes) + piece * (values >> 24))
    said = outcome_within(200 << 20, "facegen.numbers.idx:read", path, 3)
    announced = "16,385 x 128 x 128 = 268,451,840 bytes"
    assert said == f"FormatError: {path}: expected {announced}, found {found}"


def test_the_shape_of_an_image_is_checked_first(tmp_path: Path) -> None:
    data = encoded(IMAGES)
    np.testing.assert_array_equal(idx.parse(data, 3, item=(4, 3)), IMAGES)
    with pytest.raises(FormatError, match="expected images of 28x28, found 4x3"):
        idx.parse(data, 3, item=(28, 28))


def test_what_is_large_is_unpacked_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idx, "_ALWAYS_BYTES", -1_000)
    np.testing.assert_array_equal(idx.parse(gzip.compress(encoded(IMAGES)), 3), IMAGES)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\x89PNG....", "2 zero bytes of an IDX file, found 8950"),
        (b"\0\0\x0d\3" + bytes(20), r"unsigned bytes \(0x08\) at byte 2, found 0x0d"),
        (b"\0\0\x08\1\0\0\0\0", "expected 3 dimensions at byte 3, found 1"),
        (b"\0\0\x08\3\0\0\0\1\0\0", "ends within its 3 sizes, at byte 10"),
        (b"", "expected an IDX file, found 0 bytes"),
    ],
)
def test_messages(tmp_path: Path, data: bytes, message: str) -> None:
    path = tmp_path / "other"
    path.write_bytes(data)
    with pytest.raises(FormatError, match=message):
        idx.read(path, 3)


def test_what_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="found a folder"):
        idx.read(tmp_path, 1)
    with pytest.raises(FileNotFoundError):
        idx.read(tmp_path / "missing", 1)
    assert not idx.is_idx(b"\x89PNG\r\n\x1a\n")
