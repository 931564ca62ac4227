"""Files of .npz: hostile ones are refused, in little memory; those of others are read."""

from __future__ import annotations

import io
import os
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
from tiny_network import SHAPES, TINY, tiny_weights

from facegen import FormatError
from facegen.networks.recognise import read_any
from facegen.weights import digest, npz
from memory import outcome_within


def npy(values: np.ndarray, shape: str | None = None) -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array(stream, values, allow_pickle=True)
    data = stream.getvalue()
    if shape is not None:  # of the same length
        old = repr(values.shape).encode()
        data = data.replace(old, shape.encode().ljust(len(old)))
    return data


def zipped(members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return stream.getvalue()


def moved_directory(data: bytes) -> bytes:
    """A zip whose directory is said to lie 100 bytes on: its members lie as far before theirs."""
    at = data.rindex(b"PK\5\6") + 16
    offset = int.from_bytes(data[at : at + 4], "little") + 100
    return data[:at] + offset.to_bytes(4, "little") + data[at + 4 :]


def hostile_npz() -> dict[str, bytes]:
    good = {f"{name}.npy": npy(values) for name, values in tiny_weights().items()}
    bias = good["a.bias.npy"]
    corrupt = bytearray(zipped(good))
    corrupt[corrupt.index(bias) + len(bias) - 1] ^= 1
    return {
        "empty": b"PK\x03\x04",
        "truncated": zipped(good)[:-100],
        "flipped bit": bytes(corrupt),
        "pickle": zipped(good | {"a.bias.npy": npy(np.array([{}, 1, 2], object))}),
        "no .npy": zipped(good | {"readme.txt": b"hello"}),
        "not a .npy": zipped(good | {"a.bias.npy": b"hello"}),
        "empty .npy": zipped(good | {"a.bias.npy": b""}),
        "cut .npy": zipped(good | {"a.bias.npy": bias[:-1]}),
        "longer .npy": zipped(good | {"a.bias.npy": bias + b"\0"}),
        "absurd shape": zipped(good | {"a.bias.npy": npy(np.zeros(3, "<f4"), "(9**9,)")}),
        "bomb": zipped(good | {"a.bias.npy": bias + bytes(1 << 26)}, zipfile.ZIP_DEFLATED),
        "path": zipped({f"../{name}": data for name, data in good.items()}),
        "70 dimensions": zipped(
            good | {"a.bias.npy": npy(np.zeros(3, "<f4"), "1, " * 70).replace(b"v\0{", b"\xf2\0{")}
        ),
        "unfinished header": zipped(good | {"a.bias.npy": bias.replace(b"}", b"(")}),
        "lzma": zipped(good, zipfile.ZIP_LZMA),
        "20,000 members": zipped({f"{i:05d}.npy": b"" for i in range(20_000)}),
        "a member before the file": moved_directory(zipped(good)),
        "long name": zipped({"a" * 60_000: b""}),
        "offset beyond the file": zipped(good).replace(b"PK\5\6", b"PK\5\6" + b"\xff" * 10),
    }


@pytest.mark.parametrize("case", hostile_npz())
def test_hostile_npz(tmp_path: Path, case: str) -> None:
    path = tmp_path / "x.npz"
    path.write_bytes(hostile_npz()[case])
    tracemalloc.start()
    try:
        with pytest.raises(FormatError, match="x.npz") as caught:
            read_any(path, [TINY])
        assert len(str(caught.value)) < 1000 and "\n" not in str(caught.value)
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()
    with pytest.raises(FormatError, match="x.npz"):
        npz.read(path, SHAPES)
    assert os.listdir(tmp_path) == ["x.npz"]


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_npz_of_others_is_read(tmp_path: Path, compression: int) -> None:
    path = tmp_path / "x.npz"
    fortran = {name: np.asfortranarray(values) for name, values in tiny_weights().items()}
    path.write_bytes(zipped({f"{n}.npy": npy(v) for n, v in fortran.items()}, compression))
    assert digest(read_any(path, [TINY])[1]) == digest(tiny_weights())


def npz_that_expands(case: str) -> bytes:
    """0.3 to 8 MB, as `facegen generate -n` would get it."""
    header = b"\x93NUMPY\2\0" + (1 << 28).to_bytes(4, "little") + b"{"
    match case:
        case "header":
            return zipped({"proj.weight.npy": header + b" " * (1 << 28)}, zipfile.ZIP_DEFLATED)
        case "values":
            zeros = npy(np.zeros(1 << 26, np.float32))
            return zipped({"proj.weight.npy": zeros}, zipfile.ZIP_DEFLATED)
        case "members":
            return zipped({f"{i:x}": b"" for i in range(12_000)})
    assert case == "directory"
    end = zipped({"a.npy": b""})[-22:]
    one = b"PK\1\2" + bytes(42)
    count = (8 << 20) // len(one)
    size = (count * len(one)).to_bytes(4, "little")
    return (
        b"PK\3\4"
        + bytes(26)
        + one * count
        + end[:12]
        + size
        + (30).to_bytes(4, "little")
        + end[20:]
    )


@pytest.mark.parametrize(
    ("case", "message"),
    [
        ("header", "announces 268,435,"),
        ("values", "announces 268,435,"),
        ("members", "unknown member"),
        ("directory", "a zip's directory of 8,"),
    ],
)
def test_a_small_npz_is_refused_in_little_memory(tmp_path: Path, case: str, message: str) -> None:
    path = tmp_path / "small.npz"
    path.write_bytes(npz_that_expands(case))
    size = path.stat().st_size
    assert size < 9 << 20
    said = outcome_within(4 * size + (200 << 20), "facegen.loading:read_network", path)
    assert said.startswith(f"FormatError: {path}: ") and message in said
