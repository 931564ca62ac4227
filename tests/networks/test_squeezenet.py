"""The classifier: real weights and pictures, foreign weights, what pictures may be."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import engines
import tolerance
from bench import reference
from facegen import Classifier, FormatError, load
from facegen.networks import NETWORKS, imagenet, squeezenet
from facegen.networks.classifier import Guess
from facegen.networks.foreign import foreign_layout
from facegen.networks.imagenet import MEAN
from facegen.networks.recognise import read_any
from facegen.networks.squeezenet import SQUEEZENET, SQUEEZENET_TORCHVISION
from facegen.networks.squeezenet_names import caffe_name
from facegen.nn import Conv2d, Graph, Shape, lower
from facegen.weights import layout as layouts
from facegen.weights import write

WEIGHTS = (
    Path(__file__).resolve().parents[2].parent
    / "shared/data/squeezenet/squeezenet_v1_0_imagenet.npz"
)
real_weights = pytest.mark.skipif(
    not WEIGHTS.exists(), reason="the trained weights of SqueezeNet are not here"
)


def picture(name: str) -> np.ndarray:
    """One of scikit-image's own."""
    data = pytest.importorskip("skimage.data")
    try:
        found = getattr(data, name)()
    except Exception as error:  # some are downloaded when they are first asked for
        pytest.skip(f"scikit-image's {name} is not to be had: {error}")
    return found[0] if name == "stereo_motorcycle" else found


# Class and probability, as the weights' source gives them with a centred square of 227 pixels.
ANSWERS = {"chelsea": (285, 0.53), "coffee": (967, 0.90), "stereo_motorcycle": (665, 0.65)}


@real_weights
@pytest.mark.parametrize("engine", [*engines.ISAS, *engines.on_gpu("cuda auto float32")])
@pytest.mark.parametrize("name", ANSWERS)
def test_real_weights_know_real_pictures(
    name: str, engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_cpu = engine in engines.ISAS
    if on_cpu:
        monkeypatch.setenv("FACEGEN_ISA", engine)
    classifier = Classifier(WEIGHTS, device="cpu" if on_cpu else "cuda")
    (guess,) = classifier(picture(name), top=1)
    assert (guess.class_id, round(guess.probability, 2)) == ANSWERS[name]


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return Classifier(SQUEEZENET.initial_weights(1), device="cpu")


def test_parameters_and_shapes() -> None:
    graph = squeezenet.graph()
    assert graph.parameter_count == 1_248_424
    shapes = {node.name: tuple(node.shape) for node in graph.nodes}
    assert shapes["conv10"] == (15, 15, 1000) and shapes["softmax"] == (1, 1, 1000)
    # torchvision's sizes at 224: there a pool's last window is a partial one.
    shapes = {node.name: tuple(node.shape) for node in squeezenet.torchvision_graph().nodes}
    sides = [shapes[name][0] for name in ("conv1", "pool1", "pool4", "pool8", "classifier")]
    assert sides == [109, 54, 27, 13, 13]


@pytest.mark.parametrize("network", [SQUEEZENET, SQUEEZENET_TORCHVISION], ids=lambda n: n.name)
def test_agrees_with_the_naive_definition(network: Any) -> None:
    graph, weights = network.graph(), network.initial_weights(2)
    shape = graph.inputs[0].shape
    x = np.random.default_rng(0).uniform(-128, 128, (1, *shape)).astype(np.float32)
    (want,) = reference.run_graph(graph, weights, x)
    got = network.model(weights, device="cpu", precision="strict").runner(x)
    # Ten layers add a few units each; softmax makes of errors of its arguments (about 10) relative
    # ones of the probabilities.
    bound = tolerance.roundings(10 * 30 * 10, np.abs(want))
    tolerance.assert_within(got, want, bound)


def test_kinds_of_pictures(classifier: Classifier, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (250, 300, 3), np.uint8)
    image = Image.fromarray(pixels)
    image.save(tmp_path / "one.png")
    guesses = classifier(pixels)
    assert len(guesses) == 5 and all(isinstance(guess, Guess) for guess in guesses)
    assert sorted(guesses, key=lambda guess: -guess.probability) == guesses
    same = [image, str(tmp_path / "one.png"), tmp_path / "one.png"]
    assert all(classifier(one) == guesses for one in same)
    assert classifier([pixels, *same]) == [guesses] * 4
    assert classifier(pixels[np.newaxis], top=2) == [guesses[:2]]
    assert classifier([]) == [] and classifier(np.zeros((0, 9, 9, 3), np.uint8)) == []
    grey = pixels[..., 0]
    assert classifier(grey) == classifier(np.stack([grey] * 3, axis=2))
    rows = classifier.probabilities([pixels, grey])
    assert rows.shape == (2, 1000) and rows.dtype == np.float32
    np.testing.assert_allclose(rows.sum(axis=1), 1, atol=1e-5)
    assert len(classifier(pixels, top=1000)) == 1000


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (np.zeros((5, 5, 4), np.uint8), r"shape \(height, width, 3\), found uint8 of \(5, 5, 4\)"),
        (np.zeros((5, 5, 3), np.float32), "expected uint8"),
        (np.zeros((0, 5, 3), np.uint8), "found uint8 of"),
        (3, "expected a path, a Pillow image or an array, found int"),
        ([None], "found NoneType"),
    ],
)
def test_what_is_no_picture_is_refused(classifier: Classifier, bad: Any, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        classifier(bad)


def test_how_many_classes(classifier: Classifier) -> None:
    for top in (0, 1001):
        with pytest.raises(ValueError, match="top must be 1 to 1,000"):
            classifier(np.zeros((9, 9, 3), np.uint8), top=top)


def test_a_damaged_file_is_named(classifier: Classifier, tmp_path: Path) -> None:
    (tmp_path / "bad.jpg").write_bytes(b"no picture")
    with pytest.raises(FormatError, match=r"bad.jpg: not a picture"):
        classifier(tmp_path / "bad.jpg")


def test_a_batch_equals_its_pictures(classifier: Classifier) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (3, 30, 20, 3), np.uint8)
    batch = classifier.probabilities(pixels)
    for row, one in zip(batch, pixels, strict=True):
        np.testing.assert_array_equal(classifier.probabilities(one)[0], row)


# Foreign weights


def conv1(weights: dict[str, np.ndarray], x: np.ndarray) -> np.ndarray:
    """The first convolution in float64."""
    w = {k: v.astype(np.float64) for k, v in weights.items()}
    return reference.conv2d(x, w["conv1.weight"], w["conv1.bias"], stride=2)


def test_bgr_weights_see_the_same(classifier: Classifier) -> None:
    x = np.random.default_rng(2).uniform(-100, 100, (1, 15, 15, 3))
    theirs = SQUEEZENET.initial_weights(4)
    got, want = conv1(imagenet.from_bgr(theirs), x), conv1(theirs, x[..., ::-1])
    np.testing.assert_allclose(got, want, atol=1e-9)  # sums of another order in float64


def test_torchvisions_preparation_is_folded_into_conv1() -> None:
    pixels = np.random.default_rng(3).integers(0, 256, (1, 15, 15, 3)).astype(np.float64)
    normalised = (pixels / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    theirs = SQUEEZENET_TORCHVISION.initial_weights(5)
    got = conv1(imagenet.from_torchvision(theirs), pixels - np.array(MEAN))
    want = conv1(theirs, normalised)
    sizes = {name: np.abs(values) for name, values in theirs.items()}
    # One rounding of each weight; a pixel less the mean is at most 151 of the 255.
    magnitude = conv1(sizes, np.full_like(normalised, 151 / 255 / 0.224)).max()
    assert np.abs(got - want).max() <= tolerance.EPS * magnitude


@pytest.mark.parametrize(
    "size", [(300, 451), (451, 300), (256, 256), (500, 741), (20, 33)], ids=str
)
def test_torchvisions_crop(size: tuple[int, int]) -> None:
    """Resize(256) and CenterCrop(224), written from their documentation."""
    height, width = size
    y, x = np.mgrid[:height, :width]
    waves = np.stack([np.sin(x / 9), np.cos(y / 7), np.sin((x + y) / 11)], axis=2)
    pixels = np.uint8(127 + 120 * waves)
    short = min(size)
    resized = Image.fromarray(pixels).resize(
        (int(256 * width / short), int(256 * height / short)), Image.Resampling.BILINEAR
    )
    left, top = round((resized.width - 224) / 2), round((resized.height - 224) / 2)
    want = np.asarray(resized.crop((left, top, left + 224, top + 224)), np.float32)
    got = imagenet.prepare(pixels, 224, imagenet.torchvision_box(height, width))
    assert np.abs(got + np.float32(MEAN) - want).max() <= 1  # 8 bits, weights rounded otherwise


def test_torchvisions_checkpoint(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    theirs = SQUEEZENET_TORCHVISION.initial_weights(6)
    layout = SQUEEZENET_TORCHVISION.foreign["pytorch"]
    assert {"features.0.weight", "features.3.squeeze.bias", "features.7.expand1x1.weight",
            "features.12.expand3x3.weight", "classifier.1.weight"} <= layout.keys()  # fmt: skip
    state = {
        name: torch.from_numpy(
            np.ascontiguousarray(theirs[entry.name].transpose(np.argsort(entry.axes)))
        )
        for name, entry in layout.items()
    }
    path = tmp_path / "squeezenet1_0.pth"
    torch.save(state, path)
    expected = imagenet.from_torchvision(theirs)
    for model in (Classifier(path, device="cpu"), load(path, device="cpu")):
        assert isinstance(model, Classifier) and model.network is SQUEEZENET_TORCHVISION
        assert model.runner.program.inputs[0].height == 224
        for name, values in expected.items():
            np.testing.assert_array_equal(model.weights[name], values)
    pixels = np.random.default_rng(4).integers(0, 256, (30, 40, 3), np.uint8)
    assert pickle.loads(pickle.dumps(model))(pixels) == model(pixels)
    # Written in our formats it is known again, by its names even in .npz.
    for name in ("ours.safetensors", "ours.npz"):
        write(tmp_path / name, SQUEEZENET_TORCHVISION, model.weights)
        assert Classifier(tmp_path / name, device="cpu")(pixels) == model(pixels)


def test_npz_of_caffes_names(tmp_path: Path) -> None:
    theirs = SQUEEZENET.initial_weights(7)
    layout = SQUEEZENET.foreign["npz"]
    arrays = {
        name: theirs[entry.name].transpose(np.argsort(entry.axes))
        for name, entry in layout.items()
    }
    path = tmp_path / "caffe.npz"
    np.savez(path, **arrays)
    network, found = read_any(path, NETWORKS.values())
    assert network is SQUEEZENET
    for name, values in imagenet.from_bgr(theirs).items():
        np.testing.assert_array_equal(found[name], values)
    del arrays["conv_final/bias"]
    np.savez(path, **arrays)
    with pytest.raises(FormatError, match="'conv_final/bias' is missing"):
        read_any(path, NETWORKS.values())


def test_layouts_cover_the_graphs() -> None:
    for network in NETWORKS.values():
        for layout in network.foreign.values():
            assert {entry.name: entry.shape for entry in layout.values()} == network.shapes


def test_transposed_convolutions_of_caffe() -> None:
    from facegen.nn import ConvTranspose2d

    graph = Graph("one")
    x = graph.input("x", Shape(3, 3, 2))
    graph.output(graph.add("up", ConvTranspose2d(2, 5, (3, 4), bias=False), x))
    layout = foreign_layout(graph, caffe_name)
    theirs = np.random.default_rng(5).standard_normal((2, 5, 3, 4)).astype(np.float32)  # in, out
    found = layouts.canonical("x", {"up.weight": theirs}, layout)["up.weight"]
    assert found.shape == (5, 3, 4, 2) and found[4, 2, 1, 0] == theirs[0, 4, 2, 1]


def test_fire_modules_are_fused() -> None:
    program = lower(squeezenet.graph(), None)
    gemms = sum(isinstance(node.layer, Conv2d) for node in squeezenet.graph().nodes)
    assert len(program.steps) == gemms + 3 + 2  # pools; mean and softmax
