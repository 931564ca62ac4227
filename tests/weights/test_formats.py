from __future__ import annotations

import hashlib
import io
import json
import os
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given
from hypothesis import strategies as st

from facegen import FormatError
from facegen.networks import NETWORKS, Network
from facegen.weights import digest, network_bin, npz, read, safetensors, sniff, write
from facegen.weights.network_bin import Entry
from memory import outcome_within

DCGAN = NETWORKS["dcgan"]
NAMES = ("network.bin", "network.safetensors", "network.npz")

# A network of three small tensors, so that damaged files are small as well.
LAYOUT = [
    Entry("a.weight", (2, 3), (1, 0)),
    Entry("a.bias", (3,), (0,)),
    Entry("b.weight", (5, 5, 2, 3), (2, 0, 1, 3)),
]
SHAPES = {entry.name: entry.shape for entry in LAYOUT}


class _Graph:
    parameters = SHAPES


TINY = Network(
    name="tiny",
    summary="for tests",
    graph=_Graph,  # type: ignore[arg-type]
    binary_layout=LAYOUT,
    initial_weights=lambda seed: tiny_weights(),
    model=dict,
)


def tiny_weights() -> dict[str, np.ndarray]:
    generator = np.random.default_rng(1)
    return {n: generator.standard_normal(s).astype(np.float32) for n, s in SHAPES.items()}


@pytest.fixture(scope="module")
def weights() -> dict[str, np.ndarray]:
    return DCGAN.initial_weights(2)


@pytest.mark.parametrize("name", NAMES)
def test_round_trip(tmp_path: Path, weights: dict[str, np.ndarray], name: str) -> None:
    path = tmp_path / name
    write(path, DCGAN, weights)
    network, found = read(path, NETWORKS.values())
    assert network is DCGAN and list(found) == list(weights)
    for key, values in weights.items():
        assert found[key].dtype == np.float32 and found[key].flags.c_contiguous
        np.testing.assert_array_equal(found[key], values)
    assert digest(found) == digest(weights)
    assert os.listdir(tmp_path) == [name]  # nothing temporary is left


@pytest.mark.parametrize("name", NAMES)
def test_the_same_weights_are_the_same_bytes(tmp_path: Path, name: str) -> None:
    write(tmp_path / name, TINY, tiny_weights())
    first = (tmp_path / name).read_bytes()
    write(tmp_path / name, TINY, tiny_weights())
    assert (tmp_path / name).read_bytes() == first


def test_content_tells_the_format(tmp_path: Path) -> None:
    for name in NAMES:
        write(tmp_path / name, TINY, tiny_weights())
        os.rename(tmp_path / name, tmp_path / "unnamed")
        assert sniff(tmp_path / "unnamed") in name
        assert digest(read(tmp_path / "unnamed", [DCGAN, TINY])[1]) == digest(tiny_weights())


def test_network_bin_order_and_layout(tmp_path: Path) -> None:
    path = tmp_path / "network.bin"
    values = np.arange(6 + 3 + 150, dtype="<f4")
    path.write_bytes(values.tobytes())
    found = network_bin.read(path, LAYOUT)
    np.testing.assert_array_equal(found["a.weight"], [[0, 3], [1, 4], [2, 5]])
    np.testing.assert_array_equal(found["a.bias"], [6, 7, 8])
    assert found["b.weight"].shape == (2, 5, 5, 3)
    # File (r 1, s 2, k 1, c 0) is canonical (k 1, r 1, s 2, c 0).
    assert found["b.weight"][1, 1, 2, 0] == 9 + ((1 * 5 + 2) * 2 + 1) * 3
    network_bin.write(tmp_path / "again.bin", LAYOUT, found)
    assert (tmp_path / "again.bin").read_bytes() == path.read_bytes()


@given(st.data())
def test_network_bin_of_any_layout(tmp_path_factory: pytest.TempPathFactory, data: Any) -> None:
    layout = []
    for i in range(data.draw(st.integers(1, 4))):
        shape = tuple(data.draw(st.lists(st.integers(1, 4), min_size=1, max_size=4)))
        layout.append(Entry(f"t{i}", shape, tuple(data.draw(st.permutations(range(len(shape)))))))
    weights = {e.name: np.random.default_rng(1).random(e.shape, np.float32) for e in layout}
    path = tmp_path_factory.getbasetemp() / "any.bin"
    network_bin.write(path, layout, weights)
    assert path.stat().st_size == network_bin.size_bytes(layout)
    found = network_bin.read(path, layout)
    for name, values in weights.items():
        np.testing.assert_array_equal(found[name], values)


def test_digest_knows_names_shapes_and_values() -> None:
    a = {"a": np.zeros((2, 3), np.float32)}
    assert digest(a) == hashlib.sha256(b"a (2, 3)\n" + bytes(24)).hexdigest()
    assert digest({"a": np.zeros((3, 2), np.float32)}) != digest(a)
    assert digest({"b": np.zeros((2, 3), np.float32)}) != digest(a)


@pytest.mark.parametrize("size", [0, 1, 635, 637, 10**6])
def test_network_bin_of_another_size(tmp_path: Path, size: int) -> None:
    path = tmp_path / "network.bin"
    with open(path, "wb") as file:
        file.truncate(size)  # sparse
    with pytest.raises(FormatError, match=f"found {size:,} bytes"):
        read(path, [TINY])
    with pytest.raises(FormatError, match=f"expected 636 bytes, found {size:,}"):
        network_bin.read(path, LAYOUT)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_weights_that_are_not_finite_are_refused(tmp_path: Path, name: str, value: float) -> None:
    weights = tiny_weights()
    path = tmp_path / name
    weights["b.weight"][1, 2, 3, 0] = value
    with pytest.raises(FormatError, match=r"'b.weight' holds .*\[1, 2, 3, 0\]"):
        write(path, TINY, weights)
    assert os.listdir(tmp_path) == []
    # The writers of the formats take what they are given.
    if name == "network.bin":
        network_bin.write(path, LAYOUT, weights)
    elif name == "network.npz":
        npz.write(path, weights)
    else:
        safetensors.write(path, "tiny", weights)
    with pytest.raises(FormatError, match=f"{name}: tensor 'b.weight' holds") as error:
        read(path, [TINY])
    if name == "network.bin":  # file order is (r, s, k, c)
        offset = 4 * (9 + ((2 * 5 + 3) * 2 + 1) * 3)
        assert f"[2, 3, 1, 0] (byte {offset})" in str(error.value)


@pytest.mark.parametrize("name", NAMES[1:])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w: w.pop("a.bias"), "tensor 'a.bias' is missing"),
        (lambda w: w.update(x=np.zeros(1, np.float32)), "unknown tensor 'x'"),
        (lambda w: w.update({"a.bias": np.zeros(4, np.float32)}), r"expected shape \(3,\)"),
        (lambda w: w.update({"a.bias": np.zeros(3, np.float64)}), "expected (float32|F32)"),
        (lambda w: w.update({"a.bias": np.zeros(3, np.int32)}), "expected (float32|F32)"),
        (lambda w: w.update({"a.bias": np.zeros(3, np.bool_)}), "expected (float32|F32)"),
    ],
)
def test_other_tensors_are_refused(
    tmp_path: Path, name: str, change: Callable[[dict], None], message: str
) -> None:
    weights = tiny_weights()
    change(weights)
    path = tmp_path / name
    if name.endswith(".npz"):
        np.savez(path, **weights)
    else:
        safetensors_bytes = safetensors_save(weights)
        path.write_bytes(safetensors_bytes)
    with pytest.raises(FormatError, match=message):
        read(path, [TINY])
    with pytest.raises(FormatError, match=f"{path}.*"):
        read(path, [DCGAN, TINY])


@pytest.mark.parametrize("name", NAMES[1:])
def test_a_message_names_the_file_once(tmp_path: Path, name: str) -> None:
    weights = tiny_weights() | {"a.bias": np.zeros(4, np.float32)}
    path = tmp_path / name
    if name.endswith(".npz"):
        npz.write(path, weights)
    else:
        safetensors.write(path, "tiny", weights)
    with pytest.raises(FormatError) as error:
        read(path, [TINY])
    assert str(error.value) == f"{path}: tensor 'a.bias': expected shape (3,), found (4,)"


def safetensors_save(weights: dict[str, np.ndarray], network: str = "tiny") -> bytes:
    return safetensors.safetensors.numpy.save(weights, metadata={"network": network})


def test_a_network_of_another_kind_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(safetensors_save(tiny_weights(), "colorizer"))
    with pytest.raises(FormatError, match="holds the network 'colorizer', expected dcgan"):
        read(path, [DCGAN])
    with pytest.raises(FormatError, match="holds the network 'tiny', expected dcgan"):
        write(path, TINY, tiny_weights())
        read(path, [DCGAN])


def test_safetensors_without_metadata(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(safetensors.safetensors.numpy.save(tiny_weights()))
    network, _ = read(path, [DCGAN, TINY])
    assert network is TINY


def hostile_safetensors() -> dict[str, bytes]:
    good = safetensors_save(tiny_weights())
    header_bytes = int.from_bytes(good[:8], "little")
    header = json.loads(good[8 : 8 + header_bytes])
    data = good[8 + header_bytes :]

    def with_header(change: Callable[[dict], None]) -> bytes:
        changed = json.loads(json.dumps(header))
        change(changed)
        text = json.dumps(changed).encode()
        return len(text).to_bytes(8, "little") + text + data

    return {
        "announced header beyond the file": (2**63).to_bytes(8, "little") + good[8:],
        "no JSON": good[:8] + b"{" + b"\xff" * (header_bytes - 1) + data,
        "truncated": good[:-1],
        "longer": good + b"\0",
        "offsets beyond the file": with_header(
            lambda h: h["a.bias"].update(data_offsets=[0, 2**62])
        ),
        "overlapping": with_header(lambda h: h["a.bias"].update(h["a.weight"])),
        "absurd shape": with_header(lambda h: h["a.bias"].update(shape=[2**62, 2**62])),
        "deep JSON": (100_000).to_bytes(8, "little") + b"{" + b'"a":[' * 19_999 + b"    " + data,
    }


@pytest.mark.parametrize("case", hostile_safetensors())
def test_hostile_safetensors(tmp_path: Path, case: str) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(hostile_safetensors()[case])
    with pytest.raises(FormatError, match="x.safetensors"):
        read(path, [TINY])
    with pytest.raises(FormatError, match="x.safetensors"):
        safetensors.read(path, SHAPES)


def test_safetensors_header_size_is_limited(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    with open(path, "wb") as file:
        file.write((50 << 20).to_bytes(8, "little") + b"{")
        file.truncate(60 << 20)  # sparse
    with pytest.raises(FormatError, match="at most 1,048,576 expected"):
        read(path, [TINY])


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
            read(path, [TINY])
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
    assert digest(read(path, [TINY])[1]) == digest(tiny_weights())


def test_what_is_no_regular_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="found a directory"):
        read(tmp_path, [TINY])
    with pytest.raises(FormatError, match="found a pipe or a device"):
        read("/dev/zero", [TINY])
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "missing", [TINY])
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "dangling", [TINY])


def test_an_unknown_extension_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"'\.pt' is no format"):
        write(tmp_path / "x.pt", TINY, tiny_weights())
    assert os.listdir(tmp_path) == []


def test_writing_where_nothing_can_be_written(tmp_path: Path) -> None:
    with pytest.raises(OSError):
        write(tmp_path / "missing" / "network.bin", TINY, tiny_weights())


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


def test_safetensors_cut_while_it_is_read(
    tmp_path: Path, weights: dict[str, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error: a mapping of such a file would end the process by a signal."""
    path = tmp_path / "x.safetensors"
    write(path, DCGAN, weights)
    expected = safetensors.check_names

    def cut(*arguments: Any) -> None:
        os.truncate(path, path.stat().st_size - 100)
        expected(*arguments)

    monkeypatch.setattr(safetensors, "check_names", cut)
    with pytest.raises(FormatError, match="x.safetensors: not a valid safetensors file"):
        safetensors.read(path, DCGAN.shapes)


def test_safetensors_that_name_a_tensor_twice(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    good = safetensors_save(tiny_weights())
    header_bytes = int.from_bytes(good[:8], "little")
    text = good[8 : 8 + header_bytes].rstrip()
    text = text[:-1] + b',"a.bias":{"dtype":"F16","shape":[3],"data_offsets":[0,6]}}'
    path.write_bytes(len(text).to_bytes(8, "little") + text + good[8 + header_bytes : -6])
    with pytest.raises(FormatError, match="x.safetensors: "):
        safetensors.read(path, SHAPES)


def test_half_precision(tmp_path: Path) -> None:
    path, weights = tmp_path / "half.safetensors", tiny_weights()
    write(path, TINY, weights, half=True)
    _, found = read(path, [TINY])
    for name, values in found.items():
        rounded = values.astype(np.float16) if name.endswith(".weight") else values
        np.testing.assert_array_equal(values, rounded)  # float16 is exact in float32
        nearest = weights[name].astype(np.float16 if name.endswith(".weight") else np.float32)
        np.testing.assert_array_equal(values, nearest)
        assert values.dtype == np.float32
    assert digest(found) != digest(weights)


def test_half_precision_is_refused(tmp_path: Path) -> None:
    weights = tiny_weights()
    with pytest.raises(FormatError, match="half precision is for .safetensors only"):
        write(tmp_path / "half.npz", TINY, weights, half=True)
    weights["b.weight"][1, 2, 3, 0] = 1e5
    with pytest.raises(FormatError, match=r"'b.weight' holds inf at \[1, 2, 3, 0\]"):
        write(tmp_path / "half.safetensors", TINY, weights, half=True)
    assert os.listdir(tmp_path) == []
