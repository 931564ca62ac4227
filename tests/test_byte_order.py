"""Arrays of any byte order are taken like native ones, wherever arrays come in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from facegen import DigitClassifier, Generator, kernels
from facegen.colour import lab
from facegen.engine import Runner
from facegen.media import bmp
from facegen.media.colorization import network_lightness, with_colours
from facegen.media.face_files import encode_faces
from facegen.networks import colorizer, dcgan, lenet
from facegen.nn import Graph, ReLU, Shape, lower
from facegen.numbers import latents, pixels
from facegen.weights import npz

random = np.random.default_rng(0)
MAPS = random.standard_normal((2, 5, 4, 3), dtype=np.float32)
UNIT = random.random((6, 5, 3), dtype=np.float32)
WORDS = random.integers(0, 65536, (6, 5, 3), dtype=np.uint16)
WEIGHT = random.standard_normal((2, 3, 3, 3), dtype=np.float32)
CHANNELS = random.random(3, dtype=np.float32)
FACES = random.uniform(-1, 1, (2, 64, 64, 3)).astype(np.float32)


def run_a_graph(x: np.ndarray) -> np.ndarray:
    graph = Graph("relu")
    graph.output(graph.add("relu", ReLU(), graph.input("x", Shape(*x.shape[1:]))))
    result: np.ndarray = Runner(lower(graph, {}), "cpu")(x)
    return result


# What takes arrays, and arrays for it.
CALLS: dict[str, tuple[Callable[..., Any], tuple[np.ndarray, ...]]] = {
    "lightness of words": (network_lightness, (WORDS,)),
    "lightness of floats": (network_lightness, (UNIT,)),
    "colours of words": (with_colours, (WORDS, MAPS[:, :, :, 0])),
    "colours of floats": (with_colours, (UNIT.astype(np.float64), MAPS[:, :, :, 0])),
    "rgb_to_lab": (lab.rgb_to_lab, (WORDS,)),
    "rgb_to_lightness": (lab.rgb_to_lightness, (WORDS,)),
    "lab_to_rgb": (lab.lab_to_rgb, (UNIT * 90,)),
    "words of Lab": (lambda x: lab.lab_to_rgb(x, np.dtype(">u2")), (UNIT * 90,)),
    "to_uint8": (pixels.to_uint8, (FACES,)),
    "encode_faces": (lambda faces: encode_faces(faces)[0], (FACES,)),
    "check_images": (lenet.check_images, (random.random((2, 28, 28)),)),
    "digits": (lambda x: DigitClassifier(device="cpu")(x)[1], (random.random((28, 28)),)),
    "check_latents": (dcgan.check_latents, (random.integers(-1, 2, (3, 100)),)),
    "lightness for the network": (colorizer._checked_lightness, (random.random((1, 256, 256)),)),
    "a graph": (run_a_graph, (MAPS,)),
    "conv2d": (kernels.conv2d, (MAPS, WEIGHT, CHANNELS[:2])),
    "conv_transpose2d": (kernels.conv_transpose2d, (MAPS, WEIGHT, CHANNELS[:2])),
    "linear": (kernels.linear, (MAPS[:, 0, 0], MAPS[0, 0])),
    "batch_norm": (kernels.batch_norm, (MAPS, CHANNELS, CHANNELS, CHANNELS, CHANNELS)),
    "instance_norm": (kernels.instance_norm, (MAPS, CHANNELS, CHANNELS)),
    "softmax": (kernels.softmax, (MAPS,)),
}


@pytest.mark.parametrize("name", CALLS)
def test_calls(name: str) -> None:
    call, arrays = CALLS[name]
    expected = call(*arrays)
    for order in "<>":
        found = call(*(array.astype(array.dtype.newbyteorder(order)) for array in arrays))
        np.testing.assert_array_equal(found, expected)
        assert found.dtype == expected.dtype and found.dtype.isnative


def test_weights(tmp_path: Path) -> None:
    weights = Generator(device="cpu").weights
    swapped = {name: values.astype(">f4") for name, values in weights.items()}
    for name, values in Generator(swapped, device="cpu").weights.items():
        np.testing.assert_array_equal(values, weights[name])
        assert values.dtype == np.float32
    np.savez(tmp_path / "network.npz", **swapped)
    shapes = {name: values.shape for name, values in weights.items()}
    for name, values in npz.read(tmp_path / "network.npz", shapes).items():
        np.testing.assert_array_equal(values, weights[name])
        assert values.dtype == np.float32


def test_files(tmp_path: Path) -> None:
    np.save(tmp_path / "latents.npy", MAPS.ravel()[:100].reshape(1, 100).astype(">f8"))
    with latents.open_latents(tmp_path / "latents.npy") as reader:
        (chunk,) = reader.chunks(8)
    np.testing.assert_array_equal(chunk.ravel(), MAPS.ravel()[:100])
    bmp.write_bmp(tmp_path / "native.bmp", FACES)
    bmp.write_bmp(tmp_path / "swapped.bmp", FACES.astype(">f4"))
    assert (tmp_path / "native.bmp").read_bytes() == (tmp_path / "swapped.bmp").read_bytes()
