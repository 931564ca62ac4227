"""The colorizer: the network against the definition and PyTorch, and pictures through it."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import facegen
from bench.reference import run_graph
from engines import GEMM_ENGINES, run_program
from facegen import Colorizer, FormatError
from facegen.media.colorization import SIDE, network_lightness, with_colours
from facegen.networks import NETWORKS, default
from facegen.networks.colorizer import graph
from facegen.networks.recognise import read_any
from facegen.nn import lower
from facegen.weights import network_bin
from tolerance import EPS, SPLIT_PRODUCT, assert_within, gemm, roundings

COLORIZER = NETWORKS["colorizer"]


@pytest.fixture(scope="module")
def weights() -> dict[str, np.ndarray]:
    """Seeded, but batch norms far from the identity: they shift a lot, so borders show."""
    weights = COLORIZER.initial_weights(3)
    rng = np.random.default_rng(0)
    for block in range(1, 8):
        shape = weights[f"bn{block}.mean"].shape
        weights[f"bn{block}.beta"] = rng.uniform(-1, 1, shape).astype(np.float32)
        weights[f"bn{block}.mean"] = rng.uniform(-0.5, 0.5, shape).astype(np.float32)
        weights[f"bn{block}.var"] = rng.uniform(0.5, 2, shape).astype(np.float32)
    return weights


def lightness(n: int, side: int = SIDE, seed: int = 0) -> np.ndarray:
    """(n, side, side) of soft patches, 0 to 100."""
    patches = np.random.default_rng(seed).integers(0, 256, (n, 5, 5), np.uint8)
    size = (side, side)
    soft = [Image.fromarray(p).resize(size, Image.Resampling.BICUBIC) for p in patches]
    return np.stack([np.asarray(image) for image in soft]) * np.float32(100 / 255)


def bound(engine: str, ab: np.ndarray) -> float:
    """Largest error of a and b.

    26 layers each add the rounding of sums of K = 512 * 9 products, sqrt(K) eps (tolerance.py), of
    values of about equal size. Errors of many channels are random and no layer amplifies them, so
    that their squares add up. The softmax turns an absolute error of its logits, of scale 4, into
    a relative one of the colours. Measured: 4e-6 of the largest colour, a fortieth.
    """
    a_layer = np.sqrt(512 * 9) * EPS + SPLIT_PRODUCT.get(engine, 0)
    return float(4 * np.sqrt(26) * a_layer * np.abs(ab).max())


@pytest.fixture(scope="module")
def small_answer(weights: dict[str, np.ndarray]) -> np.ndarray:
    (ab,) = run_graph(graph(32), weights, lightness(1, 32)[..., np.newaxis])
    assert ab.std() > 1  # what is compared is no constant
    return ab


@pytest.mark.parametrize("engine", GEMM_ENGINES)
@pytest.mark.parametrize("algorithm", ["auto", "direct"])
def test_the_table_at_32x32(
    engine: str, algorithm: str, weights: dict[str, np.ndarray], small_answer: np.ndarray
) -> None:
    """All layers at their full width; their borders are a large part of maps of down to 4x4."""
    program = lower(graph(32), weights, algorithm)
    ab = np.full(small_answer.shape, np.nan, np.float32)
    run_program(program, [lightness(1, 32)[..., np.newaxis]], [ab], engine, threads=2)
    assert np.abs(ab - small_answer).max() < bound(engine, small_answer)


def test_pytorch_at_32x32(weights: dict[str, np.ndarray], small_answer: np.ndarray) -> None:
    """PyTorch's layers in float64, with their own padding: the definitions are the same."""
    pytest.importorskip("torch", reason="PyTorch is not installed")
    from facegen.networks.eccv16 import Eccv16

    ab = Eccv16(weights, "float64").predict_ab(lightness(1, 32))
    np.testing.assert_allclose(ab[0], small_answer[0].transpose(2, 0, 1), rtol=0, atol=1e-9)


@pytest.mark.slow
def test_pytorch_at_256x256(weights: dict[str, np.ndarray]) -> None:
    pytest.importorskip("torch", reason="PyTorch is not installed")
    from facegen.networks.eccv16 import Eccv16

    expected = Eccv16(weights, "float64").predict_ab(lightness(3))
    ab = Colorizer(weights, device="cpu").predict_ab(lightness(3))
    assert np.abs(ab - expected).max() < bound("", expected)
    edges = np.ones((SIDE, SIDE), bool)
    edges[4:-4, 4:-4] = False
    assert expected[..., edges].std() > 1  # the border is part of what is compared


def test_zeros_around_the_picture_are_middle_grey(weights: dict[str, np.ndarray]) -> None:
    """What conv1_1 reads outside is 0 after (L - 50) / 100: as a ring of L = 50 around it."""
    inner = graph(32)
    ring = np.full((1, 34, 34, 1), 50.0, np.float32)
    ring[0, 1:-1, 1:-1, 0] = lightness(1, 32)[0]
    w, b = weights["conv1_1.weight"].astype(np.float64), weights["conv1_1.bias"]
    first = (ring.astype(np.float64) - 50) / 100
    taps = [first[:, r : r + 32, s : s + 32] * w[:, r, s, 0] for r in range(3) for s in range(3)]
    expected, magnitude = sum(taps), sum(np.abs(tap) for tap in taps)
    # The same layer inside the network: everything behind it is cut off.
    nodes = {node.name: node for node in inner.nodes}
    head = facegen.nn.Graph("head")
    x = head.input("L", nodes["L"].shape)
    for name in ("normalize", "conv1_1"):
        layer = nodes[name].layer
        assert layer is not None
        x = head.add(name, layer, x)
    head.output(x)
    program = lower(head, {name: weights[name] for name in head.parameters})
    found = np.empty((1, 32, 32, 64), np.float32)
    run_program(program, [np.ascontiguousarray(ring[:, 1:-1, 1:-1])], [found])
    bound = gemm(magnitude + np.abs(b), 9) + roundings(2, 1.0)  # (L - 50) / 100
    assert_within(found, expected + b, bound)


@pytest.fixture(scope="module")
def model(weights: dict[str, np.ndarray]) -> Colorizer:
    return Colorizer(weights, device="cpu")


def test_a_batch_equals_its_pictures_one_by_one(model: Colorizer) -> None:
    batch = model.predict_ab(lightness(3))
    assert batch.shape == (3, 2, SIDE, SIDE) and batch.dtype == np.float32
    assert batch.flags.c_contiguous
    np.testing.assert_array_equal(model.predict_ab(lightness(3)[1:2])[0], batch[1])
    assert model.predict_ab(np.zeros((0, SIDE, SIDE))).shape == (0, 2, SIDE, SIDE)


@pytest.mark.parametrize("shape", [(), (SIDE, SIDE), (1, SIDE, 255), (1, SIDE, SIDE, 1)])
def test_lightness_of_another_shape_is_refused(model: Colorizer, shape: tuple[int, ...]) -> None:
    with pytest.raises(FormatError, match=r"L: expected shape \(n, 256, 256\)"):
        model.predict_ab(np.zeros(shape))


def test_lightness_that_is_no_number_is_refused(model: Colorizer) -> None:
    values = np.zeros((2, SIDE, SIDE))
    values[1, 2, 3] = np.inf
    with pytest.raises(FormatError, match=r"L: found inf at \[1, 2, 3\]"):
        model.predict_ab(values)
    with pytest.raises(FormatError, match="L: expected real numbers"):
        model.predict_ab(values.astype(complex))


class Flat:
    """In the place of the network, whose pictures take long: a is 20, b is -30 everywhere."""

    def __call__(self, values: np.ndarray) -> np.ndarray:
        assert values.shape[1:] == (SIDE, SIDE, 1)
        return np.zeros((*values.shape[:3], 2), np.float32) + np.float32([20, -30])


@pytest.fixture
def flat(model: Colorizer) -> Colorizer:
    copy = Colorizer.__new__(Colorizer)
    copy.runner = Flat()  # type: ignore[assignment]
    return copy


PLANES = np.stack([np.full((SIDE, SIDE), 20, np.float32), np.full((SIDE, SIDE), -30, np.float32)])


def pixels(height: int = 20, width: int = 30, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def test_pictures_come_back_as_they_came(flat: Colorizer, tmp_path: Path) -> None:
    rgb = pixels()
    expected = with_colours(rgb, PLANES)
    np.testing.assert_array_equal(flat(rgb), expected)
    np.testing.assert_array_equal(flat(rgb[None])[0], expected)
    np.testing.assert_array_equal(flat(rgb, strength=0.5), with_colours(rgb, PLANES, 0.5))
    assert flat(rgb.astype(np.float32) / 255).dtype == np.float32
    assert flat(rgb[..., 0]).shape == rgb.shape
    image = Image.fromarray(rgb)
    image.save(tmp_path / "a.png")
    for given in (image, tmp_path / "a.png", os.fspath(tmp_path / "a.png")):
        found = flat(given)
        assert isinstance(found, Image.Image) and found.mode == "RGB"
        np.testing.assert_array_equal(np.asarray(found), expected)
    assert [type(r) for r in flat([rgb, image])] == [np.ndarray, Image.Image]
    assert flat([]) == [] and flat(np.zeros((0, 4, 5, 3), np.uint8)).shape == (0, 4, 5, 3)


def test_many_pictures_of_different_sizes(flat: Colorizer) -> None:
    pictures = [pixels(5 + i, 7, i) for i in range(11)]  # more than are decoded at once
    for given, found in zip(pictures, flat(pictures), strict=True):
        np.testing.assert_array_equal(found, with_colours(given, PLANES))


def test_alpha_is_kept(flat: Colorizer) -> None:
    rgba = np.dstack([pixels(), np.arange(600, dtype=np.uint8).reshape(20, 30)])
    found = np.asarray(flat(Image.fromarray(rgba)))
    np.testing.assert_array_equal(found[..., 3], rgba[..., 3])
    np.testing.assert_array_equal(found[..., :3], with_colours(rgba[..., :3].copy(), PLANES))


def test_what_is_no_picture_is_refused(flat: Colorizer, tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(FormatError, match="text.png: not a picture"):
        flat(tmp_path / "text.png")
    with pytest.raises(FileNotFoundError):
        flat(tmp_path / "missing.png")
    with pytest.raises(FormatError, match="expected a path, a Pillow image or an array, found int"):
        flat(3)  # type: ignore[arg-type]
    with pytest.raises(FormatError, match="picture: expected shape"):
        flat(np.zeros((2, 3, 4), np.uint8))


def test_the_network_colours_a_picture(model: Colorizer) -> None:
    rgb = np.asarray(Image.fromarray(pixels(4, 4)).resize((100, 80)))
    ab = model.predict_ab(network_lightness(rgb)[None])[0]
    np.testing.assert_array_equal(model(rgb), with_colours(rgb, ab))
    assert model(rgb).std(axis=2).mean() > 1  # it has colours
    copy = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(copy(rgb), model(rgb))


def test_network_bin(tmp_path: Path, weights: dict[str, np.ndarray]) -> None:
    """In PyTorch's order: the first conv's weight and bias, ...; running statistics at the end."""
    path = tmp_path / "network.bin"
    assert COLORIZER.binary_layout is not None
    network_bin.write(path, COLORIZER.binary_layout, weights)
    values = np.fromfile(path, "<f4")
    np.testing.assert_array_equal(values[:9], weights["conv1_1.weight"][0, :, :, 0].ravel())
    np.testing.assert_array_equal(values[9 * 64 : 10 * 64], weights["conv1_1.bias"])
    end = np.concatenate([weights["bn7.mean"], weights["bn7.var"]])
    np.testing.assert_array_equal(values[-1024:], end)
    bn1 = 64 * 9 + 64 + 64 * 64 * 9 + 64
    np.testing.assert_array_equal(values[bn1 : bn1 + 64], weights["bn1.gamma"])
    network, found = read_any(path, NETWORKS.values())
    assert network is COLORIZER
    np.testing.assert_array_equal(found["tconv8_1.weight"], weights["tconv8_1.weight"])


def test_without_weights_the_way_to_some_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACEGEN_CACHE", str(tmp_path))
    monkeypatch.delitem(default.FILES, "colorizer")
    with pytest.raises(facegen.FacegenError, match="get it with facegen fetch colorizer"):
        Colorizer()
