from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import naive_dcgan
import numpy as np
import pytest

import facegen
from facegen import FormatError, Generator, _native
from facegen.networks import dcgan
from tolerance import EPS, SPLIT_PRODUCT, assert_within


def bound(isa: str) -> float:
    """Largest error of a value: five layers of sums of at most K = 512 * 25 / 4 products.

    Every layer's sums have a scale of about 1 and no layer amplifies errors by more than about 2;
    rounding adds sqrt(K) eps a layer, a split product what it leaves out.
    Measured: 2e-6, with split products 3e-5.
    """
    return 5 * 2 * (np.sqrt(512 * 25 / 4) * EPS + SPLIT_PRODUCT.get(isa, 0.0))


@pytest.mark.parametrize("isa", _native.available_isas())
def test_agrees_with_the_naive_network(
    isa: str, monkeypatch: pytest.MonkeyPatch, network_bin: Path, naive_faces: np.ndarray
) -> None:
    monkeypatch.setenv("FACEGEN_ISA", isa)
    generator = Generator(network_bin, device="cpu")
    assert generator.runner.isa == isa
    faces = generator.generate([0, 17])
    assert faces.shape == (2, 64, 64, 3) and faces.dtype == np.float32
    assert_within(faces, naive_faces, bound(isa))


@pytest.fixture(scope="module")
def naive_faces(network_bin: Path) -> np.ndarray:
    network = naive_dcgan.tensors(network_bin.read_bytes())
    return np.stack([naive_dcgan.generate(network, z) for z in dcgan.latents([0, 17])])


def test_strict_precision(network_bin: Path, naive_faces: np.ndarray) -> None:
    generator = Generator(network_bin, device="cpu", precision="strict")
    assert_within(generator.generate([0, 17]), naive_faces, bound("strict"))


def test_seeded_weights_give_pictures_that_are_not_saturated(generator: Generator) -> None:
    faces = generator.generate(range(4))
    assert 0.3 < faces.std() < 0.7
    assert np.mean(np.abs(faces) > 0.99) < 0.01


def test_load_finds_the_generator(generator: Generator, network_bin: Path) -> None:
    loaded = facegen.load(network_bin, device="cpu", threads=1)
    assert isinstance(loaded, Generator)
    np.testing.assert_array_equal(loaded.generate([3]), generator.generate([3]))


def test_a_batch_equals_its_images_one_by_one(generator: Generator) -> None:
    batch = generator.generate(range(70))  # more than the runner takes at once
    for seed in (0, 1, 33, 69):
        np.testing.assert_array_equal(batch[seed], generator.generate([seed])[0])


def test_threads_do_not_change_a_bit(weights: dict[str, np.ndarray]) -> None:
    one, three = (Generator(weights, device="cpu", threads=n) for n in (1, 3))
    np.testing.assert_array_equal(one.generate(range(5)), three.generate(range(5)))


def test_latents_of_a_seed() -> None:
    latents = dcgan.latents([17, 0])
    assert latents.shape == (2, 100) and latents.dtype == np.float32
    np.testing.assert_array_equal(latents[0], dcgan.latents(range(20))[17])
    assert np.all((latents >= -1) & (latents <= 1)) and 0.4 < latents.std() < 0.75
    # These numbers are a promise: a seed keeps its face from version to version.
    expected = np.random.Generator(np.random.PCG64(17)).random(3) * 2 - 1
    np.testing.assert_array_equal(latents[0, :3], expected.astype(np.float32))
    assert dcgan.latents([]).shape == (0, 100)
    with pytest.raises(FormatError, match="found -1"):
        dcgan.latents([-1])
    for seed in (1.0, "1", None):
        with pytest.raises(FormatError, match="seeds: expected integers, found"):
            dcgan.latents([seed])  # type: ignore[list-item]


def test_shapes_and_types_of_latents(generator: Generator) -> None:
    one = dcgan.latents([1])[0]
    faces = generator(one)
    assert faces.shape == (1, 64, 64, 3)
    for same in (one[None], one.tolist(), one.astype(np.float64), np.tile(one, (3, 2))[:1, :100]):
        np.testing.assert_array_equal(generator(same), faces)
    assert generator(np.zeros((0, 100))).shape == (0, 64, 64, 3)
    np.testing.assert_array_equal(
        generator(np.asfortranarray(dcgan.latents([1, 2]))), generator.generate([1, 2])
    )


@pytest.mark.parametrize("shape", [(), (99,), (101,), (2, 99), (1, 100, 1), (100, 2)])
def test_latents_of_another_shape_are_refused(generator: Generator, shape: tuple[int]) -> None:
    with pytest.raises(FormatError, match=r"expected shape \(n, 100\)"):
        generator(np.zeros(shape))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e39])
def test_latents_that_are_not_finite_are_refused(generator: Generator, value: float) -> None:
    latents = np.zeros((2, 100))
    latents[1, 7] = value
    with pytest.raises(FormatError, match=r"\[1, 7\]"):
        generator(latents)


@pytest.mark.parametrize("values", [["a"] * 100, [1j] * 100, [None] * 100, [True] * 100])
def test_latents_that_are_no_numbers_are_refused(generator: Generator, values: list) -> None:
    with pytest.raises(FormatError, match="expected real numbers"):
        generator(values)


def test_images_are_the_truncated_pixels(generator: Generator) -> None:
    latents = dcgan.latents(range(3))
    images = generator.images(latents)
    assert images.dtype == np.uint8
    # (int)((x + 1) / 2 * 255) in any precision, but for values at the very edge of a level.
    exact = (generator(latents).astype(np.float64) + 1) / 2 * 255
    assert np.all((images <= exact + 1e-4) & (exact - 1e-4 < images.astype(int) + 1))


def test_pickle(generator: Generator) -> None:
    copy = pickle.loads(pickle.dumps(generator))
    np.testing.assert_array_equal(copy.generate([4]), generator.generate([4]))


def test_threads_share_a_generator(generator: Generator) -> None:
    expected = generator.generate(range(8))
    with ThreadPoolExecutor(4) as pool:
        faces = list(pool.map(lambda seed: generator.generate([seed])[0], range(8)))
    np.testing.assert_array_equal(np.stack(faces), expected)


def test_weights_that_do_not_fit_are_refused(weights: dict[str, np.ndarray]) -> None:
    missing = {name: values for name, values in weights.items() if name != "bn0.var"}
    with pytest.raises(FormatError, match="'bn0.var' is missing"):
        Generator(missing)
    with pytest.raises(FormatError, match="unknown tensor 'x'"):
        Generator(weights | {"x": np.zeros(1, np.float32)})
    with pytest.raises(FormatError, match=r"'bn0.var': expected shape \(512,\), found \(511,\)"):
        Generator(weights | {"bn0.var": np.ones(511, np.float32)})
    with pytest.raises(FormatError, match="expected float32, found int64"):
        Generator(weights | {"bn0.var": np.ones(512, np.int64)})
    bad = np.ones(512, np.float32)
    bad[3] = np.nan
    with pytest.raises(FormatError, match=r"'bn0.var' holds nan at \[3\]"):
        Generator(weights | {"bn0.var": bad})
