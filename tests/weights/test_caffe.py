"""The .caffemodel reader, with files written by Google's library from the same declarations."""

from __future__ import annotations

import builtins
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facegen import FacegenError, FormatError
from facegen.networks import NETWORKS
from facegen.weights import caffe, digest, read, sniff

pytest.importorskip("google.protobuf", reason="protobuf is not installed")
SQUEEZENET = NETWORKS["squeezenet"]


def model(tensors: dict[str, np.ndarray], old: bool = False, double: bool = False) -> Any:
    """A NetParameter; `old` is the form of 2014: V1 layers, blobs with four sizes."""
    net = caffe._net_parameter()()
    layers: dict[str, Any] = {}
    for name, values in tensors.items():
        layer = name.rpartition(".")[0]
        if layer not in layers:
            layers[layer] = (net.layers if old else net.layer).add(name=layer)
        blob = layers[layer].blobs.add()
        (blob.double_data if double else blob.data).extend(values.reshape(-1).tolist())
        if old:
            sizes = (1,) * (4 - values.ndim) + values.shape
            blob.num, blob.channels, blob.height, blob.width = sizes
        else:
            blob.shape.dim.extend(values.shape)
    (net.layers if old else net.layer).add(name="relu")  # has no blobs
    return net


def caffe_tensors() -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """SqueezeNet's weights as Caffe has them, and what they must become."""
    weights = SQUEEZENET.initial_weights(3)
    theirs = {}
    assert SQUEEZENET.caffe_layout is not None
    for name, entry in SQUEEZENET.caffe_layout.items():
        values = weights[entry.name].transpose(np.argsort(entry.axes))
        theirs[name] = values[:, ::-1] if name == "conv1.weight" else values  # B, G, R
    return {name: np.ascontiguousarray(values) for name, values in theirs.items()}, weights


@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize("double", [False, True])
def test_squeezenet_is_read(tmp_path: Path, old: bool, double: bool) -> None:
    theirs, weights = caffe_tensors()
    path = tmp_path / "squeezenet_v1.0.caffemodel"
    path.write_bytes(model(theirs, old, double).SerializeToString())
    assert sniff(path) == "caffe"
    network, found = read(path, NETWORKS.values())
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
        read(path, NETWORKS.values())
    with pytest.raises(FormatError, match="none that is read from such a file"):
        read(path, [replace(SQUEEZENET, caffe_layout=None)])
    theirs, _ = caffe_tensors()
    theirs["conv1.weight"] = theirs["conv1.weight"][:64]
    path.write_bytes(model(theirs).SerializeToString())
    expected = r"'conv1.weight': expected shape \(96, 3, 7, 7\), found \(64, 3, 7, 7\)"
    with pytest.raises(FormatError, match=expected):
        read(path, [SQUEEZENET])


def test_without_protobuf_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "tiny.caffemodel"
    path.write_bytes(b"")
    real = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name.startswith("google"):
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(FacegenError, match=r"pip install 'facegen\[caffe\]'"):
        caffe.read(path)
