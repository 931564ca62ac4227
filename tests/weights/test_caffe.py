"""The .caffemodel reader, with files written by Google's library from the same declarations."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from caffe_model import model
from hypothesis import given
from hypothesis import strategies as st

from facegen import FormatError
from facegen.networks import NETWORKS
from facegen.networks.recognise import read_any
from facegen.weights import caffe, digest, sniff
from memory import outcome_within

pytest.importorskip("google.protobuf", reason="protobuf is not installed")
SQUEEZENET = NETWORKS["squeezenet"]


def caffe_tensors() -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """SqueezeNet's weights as Caffe has them, and what they must become."""
    weights = SQUEEZENET.initial_weights(3)
    theirs = {}
    for name, entry in SQUEEZENET.foreign["caffe"].items():
        values = weights[entry.name].transpose(np.argsort(entry.axes))
        theirs[name] = values[:, ::-1] if name == "conv1.weight" else values  # B, G, R
    return {name: np.ascontiguousarray(values) for name, values in theirs.items()}, weights


@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize("double", [False, True])
@pytest.mark.parametrize("packed", [True, False])
def test_squeezenet_is_read(tmp_path: Path, old: bool, double: bool, packed: bool) -> None:
    theirs, weights = caffe_tensors()
    path = tmp_path / "squeezenet_v1.0.caffemodel"
    path.write_bytes(model(theirs, old, double, packed).SerializeToString())
    assert sniff(path).name == "caffe"
    network, found = read_any(path, NETWORKS.values())
    assert network is SQUEEZENET and digest(found) == digest(weights)
    assert all(values.flags.c_contiguous for values in found.values())


TINY = {"a.weight": np.ones((2, 3, 1, 1), np.float32), "a.bias": np.ones(2, np.float32)}


def test_unknown_fields_are_skipped(tmp_path: Path) -> None:
    path = tmp_path / "tiny.caffemodel"
    name, number = b"\x0a\x03net", b"\xf8\x06\x05"  # field 1, a string; field 111, an integer
    path.write_bytes(name + model(TINY).SerializeToString() + number)
    assert {key: value.tolist() for key, value in caffe.read(path).items()} == {
        key: value.tolist() for key, value in TINY.items()
    }


def spoil(change: str) -> bytes:
    net = model(TINY)
    blob = net.layer[0].blobs[0]
    match change:
        case "fewer values":
            del blob.data[-1]
        case "another shape":
            blob.shape.dim[0] = 1 << 60
        case "a negative size":
            blob.shape.dim[0] = blob.shape.dim[1] = -1
        case "three blobs":
            net.layer[0].blobs.add()
            net.layer[0].blobs.add()
        case "twice":
            net.layer.add().CopyFrom(net.layer[0])
        case "70 sizes":
            blob.shape.dim.extend([1] * 66)
        case "no layers":
            net.Clear()
        case "cut":
            return net.SerializeToString()[:-3]
    return net.SerializeToString()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("fewer values", r"'a.weight': found 5 values, expected shape \(2, 3, 1, 1\)"),
        ("another shape", r"found 6 values, expected shape \(1152921504606846976, 3, 1, 1\)"),
        ("a negative size", r"expected shape \(-1, -1, 1, 1\)"),
        ("70 sizes", "not a valid .caffemodel: field 1: more than 8 integers"),
        ("three blobs", "layer 'a': expected a weight and a bias, found 4 blobs"),
        ("twice", "'a.weight' is there twice"),
        ("no layers", "no layer in it has weights"),
        ("cut", "not a valid .caffemodel"),
    ],
)
def test_damaged_files_are_refused(tmp_path: Path, change: str, message: str) -> None:
    path = tmp_path / "bad.caffemodel"
    path.write_bytes(spoil(change))
    with pytest.raises(FormatError, match=message):
        caffe.read(path)


@given(st.binary(max_size=200), st.integers(0, 200))
def test_any_bytes_give_tensors_or_a_format_error(
    tmp_path_factory: pytest.TempPathFactory, noise: bytes, at: int
) -> None:
    path = tmp_path_factory.mktemp("noise") / "any.caffemodel"
    whole = model(TINY).SerializeToString()
    path.write_bytes(whole[:at] + noise + whole[at + len(noise) :])
    try:
        assert caffe.read(path)
    except FormatError as error:
        assert "\n" not in str(error)


def test_what_is_too_large_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "large.caffemodel"
    path.write_bytes(model(TINY).SerializeToString())
    monkeypatch.setattr(caffe, "MAX_BYTES", 20)
    with pytest.raises(FormatError, match="expected at most 20"):
        caffe.read(path)


def test_tensors_of_another_network(tmp_path: Path) -> None:
    path = tmp_path / "tiny.caffemodel"
    path.write_bytes(model(TINY).SerializeToString())
    with pytest.raises(FormatError, match="its 2 tensors are those of no network"):
        read_any(path, NETWORKS.values())
    with pytest.raises(FormatError, match="none that is read from such a file"):
        read_any(path, [replace(SQUEEZENET, foreign={})])
    theirs, _ = caffe_tensors()
    theirs["conv1.weight"] = theirs["conv1.weight"][:64]
    path.write_bytes(model(theirs).SerializeToString())
    expected = r"'conv1.weight': expected shape \(96, 3, 7, 7\), found \(64, 3, 7, 7\)"
    with pytest.raises(FormatError, match=expected):
        read_any(path, [SQUEEZENET])


def test_a_field_after_another(tmp_path: Path) -> None:
    """Runs of unpacked floats end where another field stands among them."""
    path = tmp_path / "tiny.caffemodel"
    one = b"\x2d" + np.float32(1).tobytes()  # field 5, 4 bytes
    blob = one * 3 + b"\x08\x01\x10\x01\x18\x01" + one * 2 + b"\x20\x06" + one
    layer = b"\x0a\x01a\x3a" + bytes([len(blob)]) + blob
    path.write_bytes(b"\xa2\x06" + bytes([len(layer)]) + layer)
    (values,) = caffe.read(path).values()
    np.testing.assert_array_equal(values, np.ones((1, 1, 1, 6), np.float32))


def nested(*numbers: int, content: bytes) -> bytes:
    """A message in a field in a message ..., by fields' numbers from the outside."""
    for number in reversed(numbers):
        content = varint(number << 3 | 2) + varint(len(content)) + content
    return content


def varint(value: int) -> bytes:
    low, high = value & 0x7F, value >> 7
    return bytes([low | 0x80]) + varint(high) if high else bytes([low])


@pytest.mark.parametrize(
    ("case", "message"),
    [
        ("layers", "more than 100,000 fields"),
        ("blobs", "more than 100,000 fields"),
        ("sizes", "more than 8 integers"),
        ("integers", "more than 100,000 fields"),
        ("pieces", "more than 100,000 fields"),
        ("name", "a name of 33,554,432 bytes"),
    ],
)
def test_what_expands_is_refused_in_little_memory(tmp_path: Path, case: str, message: str) -> None:
    """32 MiB of what takes 300 bytes of memory for 2 or 3 in the file."""
    size = 32 << 20
    data = {
        "layers": nested(100, content=b"") * (size // 3),
        "blobs": nested(100, content=nested(7, content=b"") * (size // 2)),
        "sizes": nested(100, 7, 7, 1, content=b"\1" * size),
        "integers": b"\x18\1" * (size // 2),
        "pieces": nested(100, 7, content=nested(5, content=b"") * (size // 2)),
        "name": nested(100, 1, content=b"a" * size),
    }[case]
    path = tmp_path / "wide.caffemodel"
    path.write_bytes(data)
    said = outcome_within(4 * len(data) + (200 << 20), "facegen.weights.caffe:read", path)
    assert said.startswith(f"FormatError: {path}: not a valid .caffemodel: ")
    assert said.endswith(message)
