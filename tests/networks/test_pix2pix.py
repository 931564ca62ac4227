"""pix2pix: its arithmetic, exactness over batches, degenerate maps, files, bad arguments."""

from __future__ import annotations

import pickle
from pathlib import Path

import naive_pix2pix
import numpy as np
import pytest
from PIL import Image

from engines import ISAS, on_gpu, run_program
from facegen import FormatError, Pix2Pix, load
from facegen.networks import NETWORKS, pix2pix
from facegen.nn import Program, lower
from facegen.numbers.pixels import from_uint8
from facegen.weights import network_bin, write
from tolerance import EPS, SPLIT_PRODUCT, assert_within

PIX2PIX = NETWORKS["pix2pix"]
PROGRAM_ENGINES = [*ISAS, *on_gpu("cuda auto float32", "cuda mma float32", "cuda auto strict")]


def bound(engine: str) -> float:
    """Largest error of a value, for pictures that are not of one colour.

    Each of 16 convolutions sums at most K = 1024 * 16 products; rounding adds sqrt(K) eps of their
    scale, a split product what it leaves out. Noise of one part of the scale after each of them is
    at most 20 parts at the output (tried on the naive network, three pictures, these weights).
    Measured: 4e-6.
    """
    return 20 * (np.sqrt(1024 * 16) * EPS + SPLIT_PRODUCT.get(engine, 0.0))


@pytest.fixture(scope="module")
def weights() -> dict[str, np.ndarray]:
    return PIX2PIX.initial_weights(5)


@pytest.fixture(scope="module")
def program(weights: dict[str, np.ndarray]) -> Program:
    return lower(pix2pix.graph(), weights)


@pytest.fixture(scope="module")
def model(weights: dict[str, np.ndarray]) -> Pix2Pix:
    return Pix2Pix(weights, device="cpu")


@pytest.fixture(scope="module")
def network_file(
    tmp_path_factory: pytest.TempPathFactory, weights: dict[str, np.ndarray]
) -> Path:
    path = tmp_path_factory.mktemp("pix2pix") / "network.bin"
    write(path, PIX2PIX, weights)
    return path


@pytest.fixture(scope="module")
def pictures() -> np.ndarray:
    """Slopes beside edges, noise, one colour: (3, 256, 256, 3) uint8."""
    rng = np.random.default_rng(3)
    y, x = np.mgrid[:256, :256]
    mixed = np.stack([x, y, (x + y) / 2], axis=-1)
    edges = np.where(rng.random((16, 8, 1)) < 0.3, 0, 255).repeat(16, 0).repeat(16, 1)
    mixed[:, 128:] = edges
    noise = rng.integers(0, 256, mixed.shape)
    return np.stack([mixed, noise, np.full(mixed.shape, 200)]).astype(np.uint8)


@pytest.fixture(scope="module")
def naive(network_file: Path, pictures: np.ndarray) -> np.ndarray:
    """What the naive network makes of the first picture: (1, 256, 256, 3) float64."""
    tensors = naive_pix2pix.read_network_bin(network_file)
    return naive_pix2pix.generate(tensors, from_uint8(pictures[0]))[np.newaxis]


def run(program: Program, pictures: np.ndarray, engine: str) -> np.ndarray:
    results = np.full(pictures.shape, np.nan, np.float32)
    run_program(program, [from_uint8(pictures)], [results], engine, threads=2)
    return results


@pytest.mark.parametrize("engine", PROGRAM_ENGINES)
def test_agrees_with_the_naive_network(
    engine: str, program: Program, pictures: np.ndarray, naive: np.ndarray
) -> None:
    assert_within(run(program, pictures[:1], engine), naive, bound(engine))


def test_agrees_with_pytorch(
    weights: dict[str, np.ndarray], pictures: np.ndarray, program: Program
) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    functional = torch.nn.functional

    def tensor(name: str) -> object:
        return torch.from_numpy(weights[name].astype(np.float64))

    def norm(x: object, name: str) -> object:
        """Batch norm in training mode on a batch of one; PyTorch refuses 1x1 maps there."""
        if x.shape[2:].numel() == 1:
            return tensor(f"{name}.beta")[None, :, None, None]
        gamma, beta = tensor(f"{name}.gamma"), tensor(f"{name}.beta")
        return functional.batch_norm(x, None, None, gamma, beta, training=True, eps=1e-5)

    values = from_uint8(pictures[:1]).astype(np.float64)
    x = torch.from_numpy(values).permute(0, 3, 1, 2)
    encoded = {}
    for i in range(1, 9):
        name = f"encoder_{i}"
        x = x if i == 1 else functional.leaky_relu(x, 0.2)
        weight = tensor(f"{name}.conv.weight").permute(0, 3, 1, 2)
        x = functional.conv2d(x, weight, tensor(f"{name}.conv.bias"), stride=2, padding=1)
        encoded[i] = x = x if i == 1 else norm(x, f"{name}.norm")
    for i in range(8, 0, -1):
        name = f"decoder_{i}"
        x = functional.relu(x if i == 8 else torch.cat([x, encoded[i]], dim=1))
        weight = tensor(f"{name}.tconv.weight").permute(3, 0, 1, 2)
        bias = tensor(f"{name}.tconv.bias")
        x = functional.conv_transpose2d(x, weight, bias, stride=2, padding=1)
        x = x if i == 1 else norm(x, f"{name}.norm")
    want = torch.tanh(x).permute(0, 2, 3, 1).numpy()
    assert_within(run(program, pictures[:1], ISAS[0]), want, bound(ISAS[0]))


@pytest.mark.parametrize("engine", PROGRAM_ENGINES)
def test_a_batch_equals_its_pictures_one_by_one(
    engine: str, program: Program, pictures: np.ndarray
) -> None:
    batch = run(program, pictures, engine)
    for i in range(len(pictures)):
        assert run(program, pictures[i : i + 1], engine).tobytes() == batch[i].tobytes()


@pytest.mark.parametrize("engine", PROGRAM_ENGINES)
def test_maps_without_variance(
    engine: str, weights: dict[str, np.ndarray], pictures: np.ndarray
) -> None:
    """Channels of one value everywhere become their beta, whatever that value is."""
    changed = {name: values.copy() for name, values in weights.items()}
    for name in ("encoder_4.conv", "decoder_5.tconv", "decoder_2.tconv"):
        changed[f"{name}.weight"][::2] = 0
        changed[f"{name}.bias"][::2] = 1000.1
    moved = {name: values.copy() for name, values in changed.items()}
    for name in ("encoder_4.conv", "decoder_5.tconv", "decoder_2.tconv"):
        moved[f"{name}.bias"][::2] = 0
    results = [
        run(lower(pix2pix.graph(), w), pictures[:1], engine) for w in (changed, moved)
    ]
    assert np.isfinite(results[0]).all()
    np.testing.assert_array_equal(results[0], results[1])


def test_a_picture_of_one_colour(model: Pix2Pix, pictures: np.ndarray) -> None:
    """Borders apart, every map has one value a channel, and the next divides by what is left."""
    black = np.zeros_like(pictures[0])
    for picture in (pictures[2], black, black + 255):
        assert np.isfinite(model.runner(from_uint8(picture[np.newaxis]))).all()


def test_what_is_given_comes_back_in_kind(model: Pix2Pix, pictures: np.ndarray) -> None:
    batch = model(pictures)
    assert batch.shape == pictures.shape and batch.dtype == np.uint8
    np.testing.assert_array_equal(model(pictures[1]), batch[1])
    image, array = model([Image.fromarray(pictures[2]), pictures[1]])
    np.testing.assert_array_equal(np.asarray(image), batch[2])
    np.testing.assert_array_equal(array, batch[1])
    assert isinstance(image, Image.Image) and model([]) == []
    # (int)((x + 1) / 2 * 255) of what the network gives for v / 255 * 2 - 1.
    values = model.runner((pictures[:1] / np.float32(255) * 2 - 1).astype(np.float32))
    exact = (values.astype(np.float64) + 1) / 2 * 255
    assert np.all((batch[:1] <= exact + 1e-4) & (exact - 1e-4 < batch[:1].astype(int) + 1))
    assert model(pictures[:0]).shape == (0, 256, 256, 3)


@pytest.mark.parametrize(
    "shape", [(), (256, 256), (255, 256, 3), (256, 256, 4), (1, 1, 256, 256, 3)]
)
def test_other_shapes_are_refused(model: Pix2Pix, shape: tuple[int, ...]) -> None:
    with pytest.raises(FormatError, match=r"expected uint8 of shape \(256, 256, 3\)"):
        model(np.zeros(shape, np.uint8))


@pytest.mark.parametrize("dtype", [np.float32, np.int64, bool])
def test_other_types_are_refused(model: Pix2Pix, dtype: type) -> None:
    with pytest.raises(FormatError, match="expected uint8"):
        model(np.zeros((256, 256, 3), dtype))


def test_pictures_are_squared_on_white_paper(
    model: Pix2Pix, pictures: np.ndarray, tmp_path: Path
) -> None:
    drawing = Image.new("RGBA", (300, 200), (0, 0, 0, 0))  # transparent black
    drawing.paste((0, 0, 255, 255), (100, 50, 200, 150))
    on_white = Image.new("RGB", (300, 200), "white")
    on_white.paste((0, 0, 255), (100, 50, 200, 150))
    small = np.asarray(on_white.resize((256, 256), Image.Resampling.BICUBIC))
    drawing.save(tmp_path / "drawing.png")
    for picture in (drawing, tmp_path / "drawing.png", str(tmp_path / "drawing.png"), on_white):
        result = model(picture)
        assert isinstance(result, Image.Image) and result.mode == "RGB"
        np.testing.assert_array_equal(np.asarray(result), model(small))


def test_what_is_no_picture_is_refused(model: Pix2Pix, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"hello")
    with pytest.raises(FormatError, match="a.png: not a picture"):
        model(tmp_path / "a.png")
    with pytest.raises(FileNotFoundError):
        model(tmp_path / "missing.png")
    with pytest.raises(FormatError, match="floating-point pixels"):
        model(Image.new("F", (9, 9)))
    with pytest.raises(FormatError, match="expected a path, a Pillow image or an array, found int"):
        model(3)


def test_seeded_weights_give_pictures_that_are_not_saturated(
    model: Pix2Pix, pictures: np.ndarray
) -> None:
    values = model.runner(from_uint8(pictures[:2]))
    assert 0.3 < values.std() < 0.8 and np.mean(np.abs(values) > 0.99) < 0.05


def test_files_and_pickles(model: Pix2Pix, network_file: Path, pictures: np.ndarray) -> None:
    loaded = load(network_file, device="cpu")
    assert isinstance(loaded, Pix2Pix)
    expected = model(pictures[0])
    np.testing.assert_array_equal(loaded(pictures[0]), expected)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(loaded))(pictures[0]), expected)


def test_moving_averages_are_read_over(network_file: Path, tmp_path: Path) -> None:
    """They are 0 and 1 in files written here, and may be anything in others."""
    data = np.fromfile(network_file, "<f4")
    offset = 0
    for entry in PIX2PIX.binary_layout or []:
        size = entry.size_bytes // 4
        if entry.constant is not None:
            assert (data[offset : offset + size] == entry.constant).all()
            data[offset : offset + size] = np.nan
        offset += size
    data.tofile(tmp_path / "other.bin")
    found = network_bin.read(tmp_path / "other.bin", PIX2PIX.binary_layout)
    expected = network_bin.read(network_file, PIX2PIX.binary_layout)
    assert all((found[name] == values).all() for name, values in expected.items())


@pytest.mark.parametrize("size", [0, 20_000_000, 217_725_451, 217_725_453])
def test_a_truncated_network_is_refused(tmp_path: Path, size: int) -> None:
    path = tmp_path / "network.bin"
    with open(path, "wb") as file:
        file.truncate(size)  # sparse
    with pytest.raises(FormatError, match=f"found {size:,} bytes"):
        Pix2Pix(path)
