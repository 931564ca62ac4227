"""Quantised weights of pix2pix-tensorflow's public models; the writer is here, in the tests."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facegen import FormatError
from facegen.networks import NETWORKS
from facegen.networks.files import read
from facegen.networks.pix2pix import tensorflow_name
from facegen.networks.recognise import read_any
from facegen.weights import pict, sniff
from facegen.weights.layout import Entry

# A network of three small tensors, and one that it does not use.
LAYOUT = [
    Entry("decoder_1.tconv.bias", (3,), (0,)),
    Entry("decoder_1.tconv.weight", (4, 4, 3, 5), (2, 0, 1, 3)),
    Entry("encoder_2.norm.beta", (5,), (0,)),
    Entry("encoder_2.norm.mean", (5,), (0,), 0.0),
]
FOREIGN = {tensorflow_name(e.name): e for e in LAYOUT if e.constant is None}
NAMES = {
    "decoder_1.tconv.bias": "generator/decoder_1/conv2d_transpose/bias",
    "decoder_1.tconv.weight": "generator/decoder_1/conv2d_transpose/kernel",
    "encoder_2.norm.beta": "generator/encoder_2/batch_normalization/beta",
}


def chunk(data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + data


def header_of(layout: list[Entry] = LAYOUT) -> list[dict]:
    """As the exporter writes it: sorted by name, without moving averages."""
    used = [entry for entry in layout if entry.constant is None]
    tensors = [{"name": tensorflow_name(e.name), "shape": list(e.file_shape)} for e in used]
    return sorted(tensors, key=lambda tensor: tensor["name"])


def write_pict(path: Path, layout: list[Entry], weights: dict[str, np.ndarray]) -> np.ndarray:
    """Quantise every weight to the nearest of 256 values; returns these."""
    flat = np.concatenate([values.reshape(-1) for values in weights.values()])
    codebook = np.quantile(flat, np.linspace(0, 1, 256)).astype("<f4")
    header = header_of(layout)
    entries = {tensorflow_name(entry.name): entry for entry in layout}
    codes = b""
    for tensor in header:
        entry = entries[tensor["name"]]
        values = weights[entry.name].transpose(np.argsort(entry.axes))
        right = np.clip(np.searchsorted(codebook, values), 1, 255)
        nearer = values - codebook[right - 1] < codebook[right] - values
        codes += np.where(nearer, right - 1, right).astype(np.uint8).tobytes()
    path.write_bytes(chunk(json.dumps(header).encode()) + chunk(codebook.tobytes()) + chunk(codes))
    return codebook


def tiny_weights() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    used = [entry for entry in LAYOUT if entry.constant is None]
    return {e.name: rng.standard_normal(e.shape).astype(np.float32) for e in used}


def test_names_are_those_of_tensorflow() -> None:
    assert {name: tensorflow_name(name) for name in NAMES} == NAMES
    assert tensorflow_name("encoder_1.conv.weight") == "generator/encoder_1/conv2d/kernel"


def test_round_trip(tmp_path: Path) -> None:
    path, weights = tmp_path / "a.pict", tiny_weights()
    codebook = write_pict(path, LAYOUT, weights)
    found = pict.read(path, FOREIGN)
    assert found.keys() == weights.keys()
    for name, values in found.items():
        assert values.dtype == np.float32 and values.flags.c_contiguous
        distances = np.abs(weights[name][..., None] - codebook)
        np.testing.assert_array_equal(values, codebook[distances.argmin(axis=-1)])


def test_order_and_layout(tmp_path: Path) -> None:
    """Code i of the file is weight i of the codebook, in the order of the header, C order."""
    path = tmp_path / "a.pict"
    header = header_of()[::-1]  # the header's order counts, not that of the names
    codes = np.arange(5 + 240 + 3, dtype=np.uint8)
    codebook = np.arange(256, dtype="<f4") / 4
    path.write_bytes(
        chunk(json.dumps(header).encode()) + chunk(codebook.tobytes()) + chunk(codes.tobytes())
    )
    found = pict.read(path, FOREIGN)
    np.testing.assert_array_equal(found["encoder_2.norm.beta"], np.arange(5) / 4)
    # File (r 1, s 2, k 1, c 3) is canonical (k 1, r 1, s 2, c 3).
    place = 5 + ((1 * 4 + 2) * 3 + 1) * 5 + 3
    assert found["decoder_1.tconv.weight"][1, 1, 2, 3] == place / 4
    np.testing.assert_array_equal(found["decoder_1.tconv.bias"], np.arange(245, 248) / 4)


def test_the_whole_network(tmp_path: Path) -> None:
    """A file of pix2pix's own tensors is known by its content."""
    network = NETWORKS["pix2pix"]
    layout = [entry for entry in network.binary_layout or [] if entry.constant is None]
    count = sum(entry.size_bytes // 4 for entry in layout)
    codebook = np.linspace(-1, 1, 256, dtype="<f4")
    codes = np.resize(np.arange(256, dtype=np.uint8), count)
    header = json.dumps(header_of(layout)).encode()
    path = tmp_path / "edges2cats_AtoB"
    path.write_bytes(chunk(header) + chunk(codebook.tobytes()) + chunk(codes.tobytes()))
    assert sniff(path).name == "pict"
    found, weights = read_any(path, NETWORKS.values())
    assert found is network and {n: v.shape for n, v in weights.items()} == network.shapes
    # The first and the last tensor of the file.
    np.testing.assert_array_equal(weights["decoder_1.tconv.bias"], codebook[:3])
    last = codes[-16 * 512 * 512 :].reshape(4, 4, 512, 512)
    assert weights["encoder_8.conv.weight"][7, 1, 2, 300] == codebook[last[1, 2, 300, 7]]
    with pytest.raises(FormatError, match="holds a pix2pix network, expected a dcgan"):
        read(path, [NETWORKS["dcgan"]])


def change_header(change: Callable[[list], list | None]) -> bytes:
    """The header after a change: in place, or what `change` returns."""
    header = header_of()
    result = change(header)
    return chunk(json.dumps(header if result is None else result).encode())


def hostile() -> dict[str, tuple[bytes, str]]:
    """A damaged file and what is said of it."""
    header = chunk(json.dumps(header_of()).encode())
    book, codes = chunk(np.zeros(256, "<f4").tobytes()), chunk(bytes(3 + 240 + 5))
    rest = book + codes
    nan = np.zeros(256, "<f4")
    nan[7] = np.nan

    def named(name: str) -> bytes:
        return change_header(lambda h: h[0].update(name=name)) + rest

    def shaped(shape: object) -> bytes:
        return change_header(lambda h: h[0].update(shape=shape)) + rest

    return {
        "header beyond the file": (b"\xff\xff\xff\xff" + header[4:] + rest, "4,294,967,295 bytes"),
        "no JSON": (chunk(b'[{"' + b"\xff" * 40) + rest, "no JSON"),
        "deep JSON": (chunk(b'[{"a":' + b"[" * 500_000) + rest, "no JSON"),
        "long number": (chunk(b'[{"a":' + b"9" * 10_000 + b"}]") + rest, "no JSON|no name"),
        "no list": (chunk(b'{"name": "a", "shape": []}') + rest, "no list"),
        "no item": (change_header(lambda h: [*h, 3]) + rest, "item 3"),
        "no name": (change_header(lambda h: h[1].clear()) + rest, "no name"),
        "no shape": (shaped("3"), "no shape"),
        "shape of text": (shaped(["3"]), "is no shape"),
        "shape of bool": (shaped([True]), "is no shape"),
        "negative shape": (shaped([-3]), "is no shape"),
        "absurd shape": (shaped([2**62, 2**62]), r"expected shape \(3,\)"),
        "infinite shape": (shaped([1e400]), "is no shape"),
        "missing tensor": (change_header(lambda h: h[:-1]) + rest, "is missing"),
        "tensor twice": (change_header(lambda h: [*h, h[0]]) + rest, "twice"),
        "unknown tensor": (
            change_header(lambda h: [*h, {"name": "x", "shape": [1]}]) + rest,
            "unknown tensor 'x'",
        ),
        "older kernel": (named("generator/encoder_1/conv/filter"), "an older export"),
        "older tconv": (named("generator/decoder_1/deconv/filter"), "an older export .deconv"),
        "older norm": (named("generator/encoder_2/batchnorm/offset"), "an older export .batchnorm"),
        "separable": (named("generator/encoder_1/separable_conv2d/depthwise_kernel"), "separable"),
        "no codebook": (header, "ends before its codebook"),
        "short codebook": (header + chunk(bytes(1020)) + codes, "expected 1,024 bytes of codebook"),
        "cut codebook": (header + book[:-1], "ends inside its codebook"),
        "NaN": (header + chunk(nan.tobytes()) + codes, r"'codebook' holds nan at \[7\]"),
        "few codes": (header + book + chunk(bytes(247)), "expected 248 bytes of codes"),
        "many codes": (header + book + b"\xff\xff\xff\xff", "announced 4,294,967,295"),
        "cut codes": (header + book + codes[:-1], "ends inside its codes"),
        "longer": (header + rest + b"\0", "expected .* bytes, found"),
    }


@pytest.mark.parametrize("case", hostile())
def test_hostile_files(tmp_path: Path, case: str) -> None:
    data, message = hostile()[case]
    path = tmp_path / "x.pict"
    path.write_bytes(data)
    tracemalloc.start()
    try:
        with pytest.raises(FormatError, match=f"x.pict: .*({message})"):
            pict.read(path, FOREIGN)
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()


def test_the_sound_file_of_these_is_read(tmp_path: Path) -> None:
    """So that the hostile ones are refused for what is wrong with them."""
    path = tmp_path / "x.pict"
    path.write_bytes(change_header(lambda h: None) + chunk(bytes(1024)) + chunk(bytes(248)))
    assert all((values == 0).all() for values in pict.read(path, FOREIGN).values())


@given(st.data())
def test_any_bytes(tmp_path_factory: pytest.TempPathFactory, data: Any) -> None:
    """A sound file with some bytes changed is read, or refused in words."""
    sound = change_header(lambda h: None) + chunk(bytes(1024)) + chunk(bytes(248))
    damaged = bytearray(sound[: data.draw(st.integers(0, len(sound)))])
    changes = st.dictionaries(st.integers(0, 400), st.integers(0, 255))
    for place, value in data.draw(changes).items():
        if place < len(damaged):
            damaged[place] = value
    path = tmp_path_factory.getbasetemp() / "any.pict"
    path.write_bytes(damaged)
    try:
        found = pict.read(path, FOREIGN)
    except FormatError as error:
        assert str(error).startswith(f"{path}: ")
    else:
        assert found.keys() == NAMES.keys()
