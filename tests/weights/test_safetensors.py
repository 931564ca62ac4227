"""Files of .safetensors: hostile ones are refused; half precision."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_network import SHAPES, TINY, safetensors_save, tiny_weights

from facegen import FormatError
from facegen.networks import NETWORKS
from facegen.networks.recognise import read_any
from facegen.weights import digest, safetensors, write

DCGAN = NETWORKS["dcgan"]


def test_safetensors_without_metadata(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(safetensors.safetensors.numpy.save(tiny_weights()))
    network, _ = read_any(path, [DCGAN, TINY])
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
        read_any(path, [TINY])
    with pytest.raises(FormatError, match="x.safetensors"):
        safetensors.read(path, SHAPES)


def test_safetensors_header_size_is_limited(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    with open(path, "wb") as file:
        file.write((50 << 20).to_bytes(8, "little") + b"{")
        file.truncate(60 << 20)  # sparse
    with pytest.raises(FormatError, match="at most 1,048,576 expected"):
        read_any(path, [TINY])


def test_safetensors_cut_while_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error: a mapping of such a file would end the process by a signal."""
    path = tmp_path / "x.safetensors"
    write(path, DCGAN, DCGAN.initial_weights(2))
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
    _, found = read_any(path, [TINY])
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
