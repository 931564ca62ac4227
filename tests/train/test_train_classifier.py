"""Classifiers of one's own classes, from networks that know something else."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import facegen
from facegen import FacegenError, FormatError, graphs, nn
from facegen.graphs import GraphNetwork
from facegen.loading import write_graph
from facegen.networks import resnet, squeezenet
from facegen.nn import Shape
from facegen.photos.preparation import CROP, Preparation
from facegen.train import Reports, charts
from facegen.train.best import Best
from facegen.train.classifier import network, regimes
from facegen.train.classifier.pictures import ClassPictures, read_classes
from facegen.train.classifier.train import ClassifierSettings, train
from facegen.train.initial_weights import initial_weights
from facegen.train.split import stratified
from facegen.weights import safetensors

NAMES = ("blue", "green", "red")


def small() -> GraphNetwork:
    """A network of five classes, as a fresh one would be: two convolutions and batch norms."""
    g = nn.Graph("small")
    x = g.input("image", Shape(16, 16, 3))
    for i, (c, d) in enumerate(((3, 8), (8, 12))):
        x = g.add(f"conv{i}", nn.Conv2d(c, d, 3, stride=2, padding=1), x)
        x = g.add(f"relu{i}", nn.ReLU(), g.add(f"bn{i}", nn.BatchNorm(d), x))
    x = g.add("pool", nn.GlobalAvgPool2d(), g.add("last", nn.Conv2d(12, 5, 1), x))
    g.output(g.add("softmax", nn.Softmax(), x))
    return GraphNetwork.of(g, initial_weights(g, 0))


def colours(count: int, seed: int = 0) -> ClassPictures:
    """Pictures in which one channel is bright."""
    random = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    pixels = random.integers(0, 120, (count, 16, 16, 3), dtype=np.uint8)
    for one, label in zip(pixels, labels, strict=True):
        one[..., 2 - label] += 100
    return ClassPictures(NAMES, [str(i) for i in range(count)], pixels, labels, [])


def save(folder: Path, pictures: ClassPictures) -> None:
    for i, (pixels, label) in enumerate(zip(pictures.pixels, pictures.labels, strict=True)):
        (folder / NAMES[label]).mkdir(exist_ok=True, parents=True)
        Image.fromarray(pixels).save(folder / NAMES[label] / f"{i}.png")


@pytest.mark.parametrize("layers", ["last", "few", "all"])
def test_it_learns(tmp_path: Path, layers: str) -> None:
    pictures = colours(90)
    begin = network.start(small(), None, 3)
    entries: list = []
    settings = ClassifierSettings(layers, epochs=25, batch=16, learning_rate=0.02, patience=25)
    trained = train(pictures, begin, settings, 2, Reports(entry=entries.append))
    assert trained.accuracy > 0.9 and trained.counts.sum() == 18
    losses = [entry["held_out_loss"] for entry in entries]
    assert losses[int(trained.epoch) - 1] == min(losses) < 0.5 * np.log(3)
    moved = {
        name.rpartition(".")[0]
        for name, array in trained.network.weights.items()
        if not np.array_equal(array, begin.weights[name])
    }
    assert moved == {
        "last": {"classes"}, "few": {"classes", "conv1", "bn1"},
        "all": {"classes", "conv1", "bn1", "conv0", "bn0"},
    }[layers]  # fmt: skip
    for name, array in trained.network.weights.items():  # statistics stay those of the start
        if name.endswith((".mean", ".var")):
            np.testing.assert_array_equal(array, begin.weights[name])

    file = tmp_path / "mine.safetensors"
    write_graph(file, trained.network)
    again = tmp_path / "again.safetensors"
    facegen.save(again, facegen.load(file, device="cpu"))
    assert again.read_bytes() == file.read_bytes()
    classifier = facegen.load(file, device="cpu")
    assert isinstance(classifier, facegen.Classifier) and classifier.names == NAMES
    guesses = [classifier(pixels, top=1)[0].class_id for pixels in pictures.pixels[:30]]
    assert np.mean(guesses == pictures.labels[:30]) > 0.9


@pytest.mark.parametrize("layers", ["last", "all"])
def test_stopped_and_resumed_is_the_same_to_the_bit(tmp_path: Path, layers: str) -> None:
    pictures, begin = colours(30), network.start(small(), None, 3)
    settings = ClassifierSettings(layers, epochs=4, batch=8)
    whole = train(pictures, begin, settings, 1)

    class Stop(Exception):
        pass

    def stop(entry: dict) -> None:
        if entry["step"] == 6:
            raise Stop

    with pytest.raises(Stop):
        train(pictures, begin, settings, 2, Reports(tmp_path, save_seconds=0, entry=stop))
    again = train(pictures, begin, settings, 2, Reports(tmp_path), resume=True)
    assert again.epoch == whole.epoch
    for name, array in whole.network.weights.items():
        np.testing.assert_array_equal(again.network.weights[name], array, err_msg=name)


def test_a_run_goes_on_with_the_network_that_it_began_with(tmp_path: Path) -> None:
    """Layers in front of what is trained are in no checkpoint."""
    pictures, settings = colours(12), ClassifierSettings("last", epochs=1, batch=8)
    train(pictures, network.start(small(), None, 3), settings, 1, Reports(tmp_path))
    other = small()
    other.weights["conv0.bias"] = other.weights["conv0.bias"] + np.float32(0.5)
    with pytest.raises(FormatError, match="was trained with start"):
        train(
            pictures, network.start(other, None, 3), settings, 1, Reports(tmp_path), resume=True
        )


def test_it_stops_when_it_gets_no_better() -> None:
    notes: list[str] = []
    pictures = colours(30)
    pictures.labels[:] = np.random.default_rng(0).integers(0, 3, 30)  # there is nothing to learn
    pictures.labels[:6] = [0, 0, 1, 1, 2, 2]
    settings = ClassifierSettings("last", epochs=100, learning_rate=0.1, patience=3)
    begin = network.start(small(), None, 3)
    trained = train(pictures, begin, settings, 1, Reports(note=notes.append))
    assert "no better for 3 epochs" in notes and trained.epoch < 90


@pytest.mark.parametrize("count", [60, 300, 3000])
def test_layers_by_the_amount_of_data(count: int) -> None:
    graph = network.with_head(small().graph, 3)
    chosen = regimes.choose(graph, "auto", count, 3)
    expected = {60: ("last", 1), 300: ("few", 3), 3000: ("all", 5)}
    assert (chosen.layers, len(chosen.trained)) == expected[count]
    assert f"{count:,} pictures of 3 classes" in chosen.reason
    assert regimes.choose(graph, "last", count, 3).reason == ""


def test_known_networks_keep_their_preparation() -> None:
    """What a network takes of a pixel, found out by asking it."""
    for known in (squeezenet.SQUEEZENET, squeezenet.SQUEEZENET_TORCHVISION, resnet.RESNET18):
        found = GraphNetwork.of(known.graph(), known.initial_weights(0), known.name)
        begin = network.start(found, known, 4)
        pixels = np.random.default_rng(0).integers(0, 256, (1, 1, 3), dtype=np.uint8)
        flat = np.broadcast_to(pixels, (300, 300, 3)).astype(np.uint8)
        assert known.prepare is not None and begin.known
        np.testing.assert_allclose(
            begin.preparation.of_pixels(flat)[9, 9], known.prepare(flat)[9, 9], rtol=1e-5, atol=1e-4
        )
        assert begin.graph.outputs[0].shape == (1, 1, 4)
        kept = [name for name in begin.weights if not name.startswith("classes.")]
        assert len(kept) >= len(found.weights) - 2
        assert not begin.weights["classes.weight"].any()
    assumed = network.start(small(), None, 2)
    assert not assumed.known and assumed.preparation.mean == network.IMAGENET[0]
    own = replace(small(), preparation=Preparation(16, 16, 3, mean=(0.3,), fit=CROP))
    assert network.start(own, None, 2).preparation == own.preparation


def test_networks_that_have_no_last_layer() -> None:
    g = nn.Graph("sums")
    x = g.input("image", Shape(4, 4, 3))
    a, b = (g.add(name, nn.Conv2d(3, 2, 1), x) for name in "ab")
    g.output(g.add("add", nn.Add(), a, b))
    with pytest.raises(FormatError, match="a linear layer or a convolution, found Add .add."):
        network.with_head(g, 2)
    g = nn.Graph("two")
    x = g.input("image", Shape(4, 4, 3))
    g.output(g.add("a", nn.Conv2d(3, 2, 1), x))
    g.output(g.add("b", nn.Conv2d(3, 2, 1), x))
    with pytest.raises(FormatError, match="one input and one output, found 1 and 2"):
        network.with_head(g, 2)
    g = nn.Graph("relu")
    g.output(g.add("relu", nn.ReLU(), g.input("image", Shape(1, 1, 3))))
    with pytest.raises(FormatError, match="found its input"):
        network.with_head(g, 2)


def test_reading_folders(tmp_path: Path) -> None:
    preparation = Preparation(16, 16, 3)
    pictures = colours(12)
    save(tmp_path, pictures)
    (tmp_path / "red" / "deeper").mkdir()
    Image.new("L", (40, 20), 200).save(tmp_path / "red" / "deeper" / "grey.jpg")
    (tmp_path / "blue" / "broken.png").write_bytes(b"\x89PNG")
    (tmp_path / "blue" / "notes.txt").write_text("no picture")
    (tmp_path / ".hidden").mkdir()
    (tmp_path / "blue" / ".DS_Store").write_text("")
    (tmp_path / "loose.png").write_bytes(b"")
    for parent in (tmp_path, tmp_path / "red"):  # of `facegen train classifier .`
        (parent / "classifier.safetensors.run").mkdir()
        (parent / "classifier.safetensors.run" / "log.jsonl").write_text("")
        Image.new("RGB", (40, 20)).save(parent / "classifier.safetensors.run" / "curves.png")
    found = read_classes(tmp_path, preparation)
    assert found.names == NAMES and np.bincount(found.labels).tolist() == [4, 4, 5]
    assert len(found.skipped) == 2 and all("blue" in line for line in found.skipped)
    order = [int(Path(path).stem) for path in found.paths if "grey" not in path]
    np.testing.assert_array_equal(found.pixels[[0, 1]], pictures.pixels[order[:2]])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda f: None, "expected a folder for each of two or more classes, found 0 folders$"),
        (lambda f: (f / "a.png").write_text(""), "found 0 folders, and 1 files beside"),
        (lambda f: save(f, _of_one_class()), "found 1 folder$"),
        (lambda f: (save(f, colours(6)), (f / "empty").mkdir()), "empty: expected .* found 0$"),
        (lambda f: save(f, colours(5)), "red: expected at least 2 pictures, .* found 1"),
        (lambda f: (save(f, colours(6)), (f / "a\nb").mkdir()), "printable"),
        (lambda f: (save(f, colours(6)), (f / "x" / "y").mkdir(parents=True),
                    (f / "x" / "y" / "z.png").write_text("?")), r"x: expected .* 0 \(.*z.png"),
    ],
)  # fmt: skip
def test_folders_that_teach_nothing(tmp_path: Path, make, message: str) -> None:
    make(tmp_path)
    with pytest.raises(FormatError, match=message):
        read_classes(tmp_path, Preparation(16, 16, 3))


def _of_one_class() -> ClassPictures:
    pictures = colours(6)
    return replace(pictures, labels=np.zeros(6, np.int64))


def test_every_class_is_held_out() -> None:
    labels = np.repeat([0, 1, 2], [2, 10, 100])
    learned, held_out = stratified(labels, 0.2)
    assert np.bincount(labels[held_out]).tolist() == [1, 2, 20]
    np.testing.assert_array_equal(np.sort(np.concatenate([learned, held_out])), np.arange(112))
    np.testing.assert_array_equal(stratified(labels, 0.2)[1], held_out)
    with pytest.raises(FacegenError, match="class 1 has 1, expected at least 2"):
        stratified(np.array([0, 0, 1]), 0.5)


def test_the_best_is_kept() -> None:
    now = {"w": np.zeros(2, np.float32)}
    best = Best(lambda: now, patience=2)
    for step, loss in enumerate((3.0, 1.0, 2.0)):
        now["w"][:] = step
        assert not best.add(step, loss)
    other = Best(lambda: now, patience=2)
    other.load_state_dict(best.state_dict())
    now["w"][:] = 3
    assert other.add(3, 1.0) and other.step == 1 and other.weights["w"].tolist() == [1, 1]
    for name, value in (("w", np.zeros(3, np.float32)), ("w", np.full(2, np.nan, np.float32))):
        with pytest.raises(ValueError, match="w"):
            other.load_state_dict({**best.state_dict(), name: value})


@pytest.mark.parametrize("classes", [2, 7, 120])
def test_charts(classes: int) -> None:
    counts = np.random.default_rng(0).integers(0, 9, (classes, classes))
    names = [f"{i} with a name that is rather long" for i in range(classes)]
    picture = charts.confusion_matrix(counts, names)
    assert picture.shape[0] == picture.shape[1] < 2000 and picture.dtype == np.uint8
    entries = [{"epoch": i, "loss": 1 / (i + 1)} for i in range(5)]
    drawn = charts.curves(entries, [("loss", "none"), ("nothing",)])
    assert drawn.shape == (280, 840, 3) and (drawn[:, :420] < 255).any()
    assert (drawn[:, 420:] == 255).all()
    assert charts.curves(entries[:1], [("loss",)]).shape == (280, 420, 3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"classes": ["a"]}, "expected 3 names, found 1"),
        ({"classes": ["a", "b", 3]}, "expected a name, found 3"),
        ({"classes": ["a", "b", ""]}, "expected a name, found ''"),
        ({"preparation": {"low": 0}}, "preparation: has no"),
        ({"preparation": {"std": [0.0]}}, "std must not be 0"),
        ({"preparation": {"mean": [0.0, 1.0]}}, "expected 1 number or 3"),
        ({"preparation": {"fit": "tile"}}, "expected fit 'stretch' or 'crop'"),
        ({"preparation": {"high": 10**400}}, "preparation"),
    ],
)
def test_files_that_say_something_else(tmp_path: Path, change: dict, message: str) -> None:
    begin = network.start(small(), None, 3)
    whole = replace(
        GraphNetwork.of(begin.graph, begin.weights), classes=NAMES, preparation=begin.preparation
    )
    path = tmp_path / "net.safetensors"
    graphs.write(path, whole)
    assert graphs.read(path).preparation == begin.preparation
    text = safetensors.read_header(path).graph
    assert text is not None
    data = json.loads(text)
    for name, value in change.items():
        whole_entry = not isinstance(value, dict) or "low" in value
        data[name] = value if whole_entry else {**data[name], **value}
    safetensors.write(path, "x", begin.weights, json.dumps(data))
    with pytest.raises(FormatError, match=message):
        graphs.read(path)
