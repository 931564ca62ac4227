"""Headers of .npy files: what is read, and that nothing else gets through."""

from __future__ import annotations

import io
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facegen import FormatError
from facegen.numbers import npy
from facegen.numbers.latents import NpyLatentReader
from memory import outcome_within


def saved(values: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, values)
    return stream.getvalue()


def with_header(text: str, version: int = 1, announced: int | None = None) -> bytes:
    size = len(text) if announced is None else announced
    length = size.to_bytes(2 if version == 1 else 4, "little")
    return b"\x93NUMPY" + bytes([version, 0]) + length + text.encode("latin-1")


@given(
    st.sampled_from(["<f4", ">f8", "<i2", ">u2", "|u1", "|b1", "<c8", "<f2"]),
    st.lists(st.integers(0, 4), min_size=1, max_size=4),
    st.booleans(),
    st.data(),
)
def test_rows_are_numpys(
    tmp_path_factory: pytest.TempPathFactory,
    dtype: str,
    shape: list[int],
    fortran: bool,
    data: st.DataObject,
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.npy"
    values = np.random.default_rng(1).integers(0, 2, shape).astype(dtype)
    path.write_bytes(saved(np.asfortranarray(values) if fortran else values) + b"more")
    start = data.draw(st.integers(0, shape[0]))
    stop = data.draw(st.integers(start, shape[0] + 2))
    with npy.NpyFile(path) as array:
        assert (array.shape, array.dtype) == (values.shape, values.dtype)
        found = array.rows(start, stop)
    assert found.dtype == values.dtype
    np.testing.assert_array_equal(found, values[start:stop])


@pytest.mark.parametrize("version", [1, 2, 3])
@pytest.mark.parametrize(
    "text",
    [
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }   \n",
        "{'shape':(2L,3L),'fortran_order':False,'descr':'<f4'}",
        '{"descr": "<f4", "fortran_order": False, "shape": (2, 3,)}\n',
    ],
)
def test_headers_of_others(version: int, text: str) -> None:
    data = with_header(text, version)
    header = npy.read_header(io.BytesIO(data))
    assert header == (np.dtype("<f4"), False, (2, 3), len(data))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "expected a .npy, which begins with .* found b''"),
        (b"PK\3\4" + bytes(60), r"found b'PK\\x03\\x04"),
        (b"\x93NUMPY\4\0" + bytes(60), r"unknown .npy version \(4, 0\)"),
        (b"\x93NUMPY\1\0\x76\0{'descr'", "ends inside its .npy header"),
        (with_header(""), "ends inside its .npy header"),
        (with_header("{}", 2, 1 << 30), "header of 1,073,741,824 bytes .* at most 10,000 expected"),
        (with_header("(" * 9_000), "is no dict"),
        (with_header("{" + "(" * 9_000 + "}"), "something else than"),
        (with_header("{'descr': '<f4', 'shape': (3,)}"), r"found \['descr', 'shape'\]"),
        (with_header("{'descr': '<f4', 'fortran_order': 0, 'shape': (3,)}"), "something else"),
        (with_header("{'descr': '<f4', 'fortran_order': '0', 'shape': (3,)}"), "True or False"),
        (with_header("{'descr': '<f4', 'fortran_order': False, 'shape': (3)}"), "has no shape"),
        (with_header("{'descr': '<f4', 'fortran_order': False, 'shape': (-3,)}"), "has no shape"),
        (with_header("{'descr': '<f4', 'fortran_order': False, 'shape': (3,,)}"), "has no shape"),
        (
            with_header(f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({'1, ' * 70})}}"),
            "found 70 dimensions, at most 32 expected",
        ),
        (with_header("{'descr': '|O', 'fortran_order': False, 'shape': (3,)}"), "type '|O'"),
        (with_header("{'descr': '<f3', 'fortran_order': False, 'shape': (3,)}"), "type '<f3'"),
        (
            with_header("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (3,)}"),
            "something else than",
        ),
    ],
)
def test_other_headers_are_refused(data: bytes, message: str) -> None:
    with pytest.raises(FormatError, match=message) as caught:
        npy.read_header(io.BytesIO(data))
    assert len(str(caught.value)) < 200 and str(caught.value).isprintable()


@given(st.binary(max_size=60), st.integers(0, 128))
def test_any_bytes_give_a_header_or_a_format_error(noise: bytes, at: int) -> None:
    whole = saved(np.zeros((3, 100), np.float32))
    try:
        npy.read_header(io.BytesIO(whole[:at] + noise + whole[at + len(noise) :]))
    except FormatError as error:
        assert str(error).isprintable()


@pytest.mark.parametrize(
    "shape", ["(1 << 40, 100)", "(10**18, 100)", "(0, 100, 10**18)", "(3, 100, 0)"]
)
def test_shapes_are_not_believed(tmp_path: Path, shape: str) -> None:
    path = tmp_path / "x.npy"
    text = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {eval(shape)}, }}"
    path.write_bytes(with_header(text) + bytes(1200))
    with pytest.raises(FormatError, match=r"x\.npy: (not a valid .npy|expected \(n, 100\))"):
        NpyLatentReader(path)


def test_a_large_header_takes_no_memory(tmp_path: Path) -> None:
    """8.4 GB of a sparse file, which it announces as its header."""
    path = tmp_path / "sparse.npy"
    with open(path, "wb") as file:
        file.write(with_header("{", 2, (1 << 32) - 1))
        file.truncate(8_400_000_000)
    said = outcome_within(64 << 20, "facegen.numbers.latents:NpyLatentReader", path)
    assert said.startswith(f"FormatError: {path}: not a valid .npy file: .npy header of 4,294,967")


def test_a_large_array_is_read_in_parts(tmp_path: Path) -> None:
    """8.4 GB of zeros, of which chunks alone are in memory."""
    path = tmp_path / "sparse.npy"
    count = 21_000_000
    with open(path, "wb") as file:
        file.write(npy.header_of((count, 100)))
        file.truncate(file.tell() + 400 * count)
    with NpyLatentReader(path) as reader:
        tracemalloc.start()
        try:
            assert next(reader.chunks(64)).shape == (64, 100)
            assert tracemalloc.get_traced_memory()[1] < 1 << 20
        finally:
            tracemalloc.stop()


@pytest.mark.parametrize("order", ["C", "F"])
def test_a_file_cut_while_it_is_read(tmp_path: Path, order: str) -> None:
    path = tmp_path / "latents.npy"
    np.save(path, np.zeros((1000, 100), np.float32, order=order))  # type: ignore[call-overload]
    with NpyLatentReader(path) as reader:
        chunks = reader.chunks(100)
        next(chunks)
        with open(path, "r+b") as file:
            file.truncate(200 * 400)
        with pytest.raises(FormatError, match="latents.npy: ends inside rows"):
            list(chunks)
