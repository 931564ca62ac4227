"""Fine-tuning the segmentation network."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from facegen import FacegenError, FormatError
from facegen.networks import segmentation, squeezenet
from facegen.nn import Conv2d, Graph, MaxPool2d, Shape, Tanh
from facegen.train import Reports
from facegen.train.cut import cut
from facegen.train.segmentation import shapes
from facegen.train.segmentation import train as training
from facegen.train.segmentation.learner import Learner, encoder_layers
from facegen.train.segmentation.masks import Pairs, read_pairs
from facegen.train.segmentation.train import SegmentationSettings
from facegen.train.split import split

needs_torch = pytest.mark.skipif(
    importlib.util.find_spec("torch") is None, reason="PyTorch (extra [torch]) is not installed"
)
BACKENDS = ["native", pytest.param("torch", marks=needs_torch)]


def learner(
    backend: str, pairs: Pairs, start: dict[str, np.ndarray], settings: SegmentationSettings
) -> Learner:
    if backend == "native":
        return training.native(pairs, start, settings, threads=2)
    import torch

    from facegen.train.segmentation.torch_learner import TorchLearner

    rate, frozen = settings.rate(pairs), settings.freeze_encoder
    return TorchLearner(pairs, start, rate, frozen, torch.device("cpu"))


def run(
    backend: str,
    pairs: Pairs,
    start: dict[str, np.ndarray],
    settings: SegmentationSettings,
    entries: list | None = None,
    **options,
) -> dict[str, np.ndarray]:
    kept: list = [] if entries is None else entries
    reports = Reports(log_every=1, entry=kept.append)
    options.setdefault("reports", reports)
    return training.train(pairs, learner(backend, pairs, start, settings), settings, **options)


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Pairs:
    folder = tmp_path_factory.mktemp("shapes")
    shapes.write(folder, 4, seed=1)
    return read_pairs(folder / "pictures", folder / "masks")


@pytest.fixture(scope="module")
def start() -> dict[str, np.ndarray]:
    """Of a seeded encoder: what it sees is random, but not nothing."""
    return training.first_weights("squeezenet", squeezenet.initial_weights(0))


def test_the_first_decoder_knows_nothing(start: dict[str, np.ndarray], pairs: Pairs) -> None:
    segmenter = segmentation.Segmenter(start, device="cpu")
    logits = segmenter.logits(segmenter.prepare(pairs.pixels[0])[None])
    assert not logits.any()
    # Interpolation of each class by itself: what is constant stays so, but for the edges.
    for name, stride in (("conv11", 2), ("conv12", 2), ("conv13", 4)):
        weight = start[f"{name}.weight"]
        for first in range(stride):
            assert weight[5, first::stride, first::stride, 5].sum() == 1
        assert not weight[5, :, :, 6].any()


def test_what_can_be_started_from(start: dict[str, np.ndarray]) -> None:
    own = segmentation.initial_weights(0)
    assert training.first_weights("segmentation", own) == own
    torchvision = squeezenet.SQUEEZENET_TORCHVISION.initial_weights(0)
    again = training.first_weights("squeezenet-torchvision", torchvision)
    assert {k: v.shape for k, v in again.items()} == segmentation.SEGMENTATION.shapes
    np.testing.assert_array_equal(again["conv10.weight"], torchvision["classifier.weight"])
    for name, values in squeezenet.initial_weights(0).items():
        np.testing.assert_array_equal(start[name], values)
    with pytest.raises(FacegenError, match="to start from, found dcgan"):
        training.first_weights("dcgan", {})


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_step_moves_the_decoder_alone(
    backend: str, start: dict[str, np.ndarray], pairs: Pairs
) -> None:
    entries: list = []
    settings = SegmentationSettings(epochs=3, batch=2, held_out=2, learning_rate=1e-5)
    result = run(backend, pairs, start, settings, entries)
    for name, values in result.items():
        frozen = name.rpartition(".")[0] in encoder_layers()
        assert np.array_equal(values, start[name]) == frozen, name
    assert [entry["epoch"] for entry in entries] == [0, 1, 2, 3]
    assert entries[3]["loss"] < entries[1]["loss"] < np.log(21) + 0.1
    assert all(0 < entry["iou"] < 1 for entry in entries)


@pytest.mark.parametrize("backend", BACKENDS)
def test_all_layers(backend: str, start: dict[str, np.ndarray], pairs: Pairs) -> None:
    settings = SegmentationSettings(epochs=2, batch=1, held_out=2, freeze_encoder=False)
    result = run(backend, pairs, start, settings)
    same = [name for name, values in result.items() if np.array_equal(values, start[name])]
    assert not same


@needs_torch
@pytest.mark.parametrize("freeze", [True, False])
@pytest.mark.parametrize("epochs", [2, 3])  # of few epochs no features are kept
def test_both_learn_the_same(
    start: dict[str, np.ndarray], pairs: Pairs, freeze: bool, epochs: int
) -> None:
    """The same losses from the same start, order and mirror images, but for float32's rounding.

    A ReLU or a pool that decides otherwise by a rounding error moves them apart, step by step.
    """
    settings = SegmentationSettings(
        epochs=epochs, batch=1, held_out=2, freeze_encoder=freeze, learning_rate=1e-5
    )
    losses: dict[str, list[float]] = {}
    for backend in ("native", "torch"):
        entries: list = []
        run(backend, pairs, start, settings, entries)
        losses[backend] = [entry["loss"] for entry in entries if "loss" in entry]
    np.testing.assert_allclose(losses["native"], losses["torch"], rtol=1e-4)
    assert losses["torch"][0] != losses["torch"][-1]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("freeze", [True, False])
def test_stopped_and_resumed_is_the_same_to_the_bit(
    tmp_path: Path, backend: str, freeze: bool, start: dict[str, np.ndarray], pairs: Pairs
) -> None:
    settings = SegmentationSettings(epochs=3, batch=2, held_out=1, freeze_encoder=freeze)
    whole = run(backend, pairs, start, settings)

    class Stop(Exception):
        pass

    def stop(entry: dict) -> None:
        if entry["step"] == 4:
            raise Stop

    with pytest.raises(Stop):  # the checkpoint is of step 3
        reports = Reports(tmp_path, log_every=1, save_seconds=0, entry=stop)
        run(backend, pairs, start, settings, reports=reports)
    again = run(backend, pairs, start, settings, reports=Reports(tmp_path), resume=True)
    for name, values in whole.items():
        np.testing.assert_array_equal(again[name], values, err_msg=name)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_run_goes_on_with_the_encoder_that_it_began_with(
    tmp_path: Path, backend: str, start: dict[str, np.ndarray], pairs: Pairs
) -> None:
    settings = SegmentationSettings(epochs=1, batch=4, held_out=1)
    run(backend, pairs, start, settings, reports=Reports(tmp_path))
    other = {**start, "conv1.bias": start["conv1.bias"] + np.float32(0.5)}
    with pytest.raises(FormatError, match="was trained with start"):
        run(backend, pairs, other, settings, reports=Reports(tmp_path), resume=True)


def test_where_the_network_is_cut() -> None:
    graph = segmentation.graph()
    parts = cut(graph, {"conv10", "score_pool1", "score_pool4", "score_pool8", "conv13"})
    assert parts.front is not None
    outputs = [tensor.name for tensor in parts.front.outputs]
    assert outputs == ["pool1", "pool4", "pool8", "fire9/concat"]
    assert outputs == [tensor.name for tensor in parts.rest.inputs]
    assert parts.front.parameters.keys() | parts.rest.parameters.keys() == graph.parameters.keys()
    assert cut(graph, {"conv1", "conv13"}).front is None
    with pytest.raises(ValueError, match="no layer named 'conv99'"):
        cut(graph, {"conv99"})


@needs_torch
def test_the_engine_finds_the_same_classes(pairs: Pairs) -> None:
    import torch

    from facegen.train.graph_module import GraphModule
    from facegen.train.segmentation import torch_learner

    weights = segmentation.initial_weights(3)
    network = GraphModule(segmentation.graph())
    network.load_canonical(weights)
    for name, values in network.canonical().items():
        np.testing.assert_array_equal(values, weights[name])
    pixels = pairs.pixels[:1]
    assert torch_learner.check_against_engine(network, weights, pixels) < torch_learner.TOLERANCE
    segmenter = segmentation.Segmenter(weights, device="cpu", precision="strict")
    prepared = segmenter.prepare(pixels[0])[None]
    with torch.no_grad():
        logits = network(torch.from_numpy(prepared).permute(0, 3, 1, 2))[0].permute(1, 2, 0).numpy()
    best = np.sort(logits, axis=2)
    clear = best[..., -1] - best[..., -2] > 2 * torch_learner.TOLERANCE * np.abs(logits).max()
    assert clear.mean() > 0.95
    np.testing.assert_array_equal(
        segmenter.classes(prepared)[0][clear], logits.argmax(axis=2)[clear]
    )
    with torch.no_grad():
        network.layers["score_pool1"].bias += torch.arange(21.0) * float(np.abs(logits).max())
    with pytest.raises(FacegenError, match="differs from PyTorch's"):
        torch_learner.check_against_engine(network, weights, pixels)


def test_mean_iou() -> None:
    classes = np.zeros((2, 227, 227), np.uint8)
    classes[0, :, :100], classes[1, :, :50] = 3, 255
    pairs = Pairs(["a", "b"], np.zeros((2, 227, 227, 3), np.uint8), classes)

    def guess(samples: np.ndarray) -> np.ndarray:
        maps = np.zeros((len(samples), 227, 227), np.int64)
        maps[0, :, 50:100], maps[1, :, 50:] = 3, 7
        return maps

    counts = training.confusion_of_pairs(guess, pairs, np.array([0, 1]), 21)
    assert counts.sum() == 227 * (227 + 177)  # what is 255 does not count
    background = 127 / (127 + 50 + 177)  # 50 of class 3 and 177 of the background are wrong
    assert training.mean_iou(counts) == pytest.approx((background + 50 / 100) / 2)
    assert np.isnan(training.mean_iou(np.zeros((21, 21), np.int64)))


@pytest.mark.parametrize("backend", BACKENDS)
def test_masks_without_a_class_teach_nothing(
    backend: str, start: dict[str, np.ndarray], pairs: Pairs
) -> None:
    settings = SegmentationSettings(epochs=1, batch=1, held_out=3)
    classes = np.full_like(pairs.classes, 255)
    with pytest.raises(FacegenError, match="held out: no pixel of the 3 masks has a class"):
        run(backend, Pairs(pairs.names, pairs.pixels, classes), start, settings)
    held_out = split(len(pairs), 3)[1]
    classes[held_out] = pairs.classes[held_out]
    entries: list = []
    void = Pairs(pairs.names, pairs.pixels, classes)
    result = run(backend, void, start, settings, entries)
    assert entries[1]["loss"] == 0 and entries[1]["iou"] == entries[0]["iou"]
    np.testing.assert_array_equal(result["score_pool8.weight"], start["score_pool8.weight"])


@pytest.mark.parametrize("backend", BACKENDS)
def test_divergence_is_an_error(
    backend: str, start: dict[str, np.ndarray], pairs: Pairs
) -> None:
    settings = SegmentationSettings(epochs=2, batch=1, held_out=2, learning_rate=1e30)
    with pytest.raises(FacegenError, match="training diverged: step .* of segmentation"):
        run(backend, pairs, start, settings)


@needs_torch
def test_layers_that_a_graph_module_does_not_know() -> None:
    import torch

    from facegen.train.graph_module import GraphModule

    g = Graph("other")
    g.output(g.add("tanh", Tanh(), g.input("x", Shape(4, 4, 1))))
    with pytest.raises(NotImplementedError, match="tanh"):
        GraphModule(g)(torch.zeros(1, 1, 4, 4))
    g = Graph("uneven")
    g.output(g.add("conv", Conv2d(1, 1, 3, padding=((1, 0), (1, 0))), g.input("x", Shape(4, 4, 1))))
    with pytest.raises(NotImplementedError, match="conv: padding"):
        GraphModule(g)
    g = Graph("padded")
    g.output(g.add("pool", MaxPool2d(3, padding=1), g.input("x", Shape(4, 4, 1))))
    with pytest.raises(NotImplementedError, match="pool"):
        GraphModule(g)(torch.zeros(1, 1, 4, 4))


def test_shapes() -> None:
    """All classes occur, shapes fill their radius, and a number gives the same picture again."""
    classes = set()
    for index in range(16):
        pixels, mask = shapes.draw(3, index)
        assert pixels.shape == (256, 256, 3) and mask.shape == (256, 256)
        np.testing.assert_array_equal(pixels, shapes.draw(3, index)[0])
        classes |= set(np.unique(mask).tolist())
    assert classes == set(range(6))
    sizes = [np.ptp(shapes.outline(kind), axis=0).max() for kind in range(5)]
    assert all(1.4 < size <= 2.0 + 1e-9 for size in sizes)
