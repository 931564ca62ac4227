"""What holds for every format of weights."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_network import LAYOUT, TINY, safetensors_save, tiny_weights

from facegen import FormatError
from facegen.networks import NETWORKS
from facegen.networks.recognise import read_any
from facegen.weights import digest, network_bin, npz, safetensors, sniff, write
from facegen.weights.layout import Entry

DCGAN = NETWORKS["dcgan"]
NAMES = ("network.bin", "network.safetensors", "network.npz")


@pytest.fixture(scope="module")
def weights() -> dict[str, np.ndarray]:
    return DCGAN.initial_weights(2)


@pytest.mark.parametrize("name", NAMES)
def test_round_trip(tmp_path: Path, weights: dict[str, np.ndarray], name: str) -> None:
    path = tmp_path / name
    write(path, DCGAN, weights)
    network, found = read_any(path, NETWORKS.values())
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
        assert sniff(tmp_path / "unnamed").name in name
        assert digest(read_any(tmp_path / "unnamed", [DCGAN, TINY])[1]) == digest(tiny_weights())


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
        read_any(path, [TINY])
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
        read_any(path, [TINY])
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
        read_any(path, [TINY])
    with pytest.raises(FormatError, match=f"{path}.*"):
        read_any(path, [DCGAN, TINY])


@pytest.mark.parametrize("name", NAMES[1:])
def test_a_message_names_the_file_once(tmp_path: Path, name: str) -> None:
    weights = tiny_weights() | {"a.bias": np.zeros(4, np.float32)}
    path = tmp_path / name
    if name.endswith(".npz"):
        npz.write(path, weights)
    else:
        safetensors.write(path, "tiny", weights)
    with pytest.raises(FormatError) as error:
        read_any(path, [TINY])
    assert str(error.value) == f"{path}: tensor 'a.bias': expected shape (3,), found (4,)"


def test_a_network_of_another_kind_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(safetensors_save(tiny_weights(), "colorizer"))
    with pytest.raises(FormatError, match="holds the network 'colorizer', expected dcgan"):
        read_any(path, [DCGAN])
    with pytest.raises(FormatError, match="holds the network 'tiny', expected dcgan"):
        write(path, TINY, tiny_weights())
        read_any(path, [DCGAN])


def test_what_is_no_regular_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="found a directory"):
        read_any(tmp_path, [TINY])
    with pytest.raises(FormatError, match="found a pipe or a device"):
        read_any("/dev/zero", [TINY])
    with pytest.raises(FileNotFoundError):
        read_any(tmp_path / "missing", [TINY])
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError):
        read_any(tmp_path / "dangling", [TINY])


def test_an_unknown_extension_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"'\.pt' is no format"):
        write(tmp_path / "x.pt", TINY, tiny_weights())
    assert os.listdir(tmp_path) == []


def test_writing_where_nothing_can_be_written(tmp_path: Path) -> None:
    with pytest.raises(OSError):
        write(tmp_path / "missing" / "network.bin", TINY, tiny_weights())
