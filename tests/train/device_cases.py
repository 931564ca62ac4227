"""What each command trains, in a few steps: the same call for every device."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from facegen import nn
from facegen.graphs import GraphNetwork
from facegen.networks import squeezenet
from facegen.train import Reports
from facegen.train.classifier import network
from facegen.train.classifier import train as classifier
from facegen.train.classifier.pictures import ClassPictures
from facegen.train.colorizer import train as colorizer
from facegen.train.colorizer.bins import Bins, grid
from facegen.train.colorizer.photos import survey
from facegen.train.digits import train as digits
from facegen.train.faces import run as faces
from facegen.train.faces.adversaries import Adversaries
from facegen.train.faces.settings import FaceSettings
from facegen.train.initial_weights import initial_weights
from facegen.train.pix2pix import pairs as pair_files
from facegen.train.pix2pix import train as pix2pix
from facegen.train.pix2pix.players import Pix2PixSettings
from facegen.train.segmentation import train as segmentation
from facegen.train.segmentation.masks import Pairs

Weights = dict[str, np.ndarray]
# Called with a device, what the run reports, and whether it goes on from a checkpoint; gives the
# network's weights, and what was found of pictures held out.
Case = Callable[[str, Reports, bool], tuple[Weights, object]]


def random_pixels(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def of_digits(device: str, reports: Reports, resume: bool) -> tuple[Weights, object]:
    images, labels = random_pixels(40, 28, 28), np.arange(40, dtype=np.uint8) % 10
    settings = digits.DigitSettings(epochs=2, batch=10, held_out=10)
    trained = digits.train(images, labels, settings, 1, reports, resume, device=device)
    return trained.weights, trained.guesses.tolist()


def of_faces(device: str, reports: Reports, resume: bool) -> tuple[Weights, object]:
    pixels = random_pixels(8, 64, 64, 3)
    settings = FaceSettings(
        steps=4, batch=4, width=2, penalty_every=2, statistics=8, freeze=1, augmentation="small"
    )
    adversaries = Adversaries(pixels, settings, None, 1, device=device)
    weights = faces.train(
        adversaries, pixels, settings, reports,
        sample_every=2, quality_pictures=4, threads=1, device=device, resume=resume,
    )  # fmt: skip
    return weights, None


def segmentation_of(freeze_encoder: bool) -> Case:
    def run(device: str, reports: Reports, resume: bool) -> tuple[Weights, object]:
        classes = random_pixels(3, 227, 227) % np.uint8(3)
        pairs = Pairs(["a", "b", "c"], random_pixels(3, 227, 227, 3), classes)
        settings = segmentation.SegmentationSettings(
            epochs=3, batch=2, held_out=1, freeze_encoder=freeze_encoder
        )
        first = segmentation.first_weights("squeezenet", squeezenet.initial_weights(0))
        learner = segmentation.native(pairs, first, settings, 1, reports, device=device)
        weights = segmentation.train(pairs, learner, settings, reports, resume)
        iou, counts = segmentation.iou_of_engine(weights, pairs, 1, device)
        return weights, (iou, counts.tolist())

    return run


def classifier_of(layers: str) -> Case:
    def run(device: str, reports: Reports, resume: bool) -> tuple[Weights, object]:
        g = nn.Graph("small")
        x = g.input("image", nn.Shape(16, 16, 3))
        for i, (c, d) in enumerate(((3, 8), (8, 12))):
            x = g.add(f"conv{i}", nn.Conv2d(c, d, 3, stride=2, padding=1), x)
            x = g.add(f"relu{i}", nn.ReLU(), g.add(f"bn{i}", nn.BatchNorm(d), x))
        x = g.add("pool", nn.GlobalAvgPool2d(), g.add("last", nn.Conv2d(12, 5, 1), x))
        g.output(g.add("softmax", nn.Softmax(), x))
        start = network.start(GraphNetwork.of(g, initial_weights(g, 0)), None, 3)
        labels = np.arange(18) % 3
        pictures = ClassPictures(
            ("a", "b", "c"), list("abc"), random_pixels(18, 16, 16, 3), labels, []
        )
        settings = classifier.ClassifierSettings(layers, epochs=3, batch=6, learning_rate=0.02)
        trained = classifier.train(pictures, start, settings, 1, reports, resume, device=device)
        return dict(trained.network.weights), (trained.epoch, trained.counts.tolist())

    return run


def pix2pix_in(folder: Path) -> Case:
    folder.mkdir()
    for i in range(4):
        Image.fromarray(random_pixels(32, 64, 3, seed=i)).save(folder / f"{i}.png")
    found = pair_files.find(folder)
    settings = Pix2PixSettings(width=2, epochs=1)

    def run(device: str, reports: Reports, resume: bool) -> tuple[Weights, object]:
        weights, shown = pix2pix.train(
            found, settings, 1, None, 1, reports, 2, resume, device=device
        )
        made = pix2pix.paint(weights, shown.sources, settings, 1, device)
        return weights, shown.distance(made)

    return run


def colorizer_in(folder: Path) -> Case:
    folder.mkdir()
    paths = []
    for i in range(5):
        paths.append(str(folder / f"{i}.png"))
        Image.fromarray(random_pixels(40, 50, 3, seed=i)).save(paths[-1])
    found = survey(paths, Bins(grid()))
    settings = colorizer.ColorizerSettings(width=2, side=32, epochs=2, batch=2)

    def run(device: str, reports: Reports, resume: bool) -> tuple[Weights, object]:
        weights, photos = colorizer.train(
            found, settings, 1, None, 1, reports, resume, device=device
        )
        return weights, photos

    return run


def all_cases(folder: Path) -> dict[str, Case]:
    """By name; data go to the folder."""
    return {
        "digits": of_digits,
        "faces": of_faces,
        "segmentation": segmentation_of(True),
        "segmentation, all layers": segmentation_of(False),
        "classifier, last layer": classifier_of("last"),
        "classifier, few layers": classifier_of("few"),
        "classifier, all layers": classifier_of("all"),
        "pix2pix": pix2pix_in(folder / "pairs"),
        "colorizer": colorizer_in(folder / "photos"),
    }


NAMES = (
    *("digits", "faces", "segmentation", "segmentation, all layers", "classifier, last layer"),
    *("classifier, few layers", "classifier, all layers", "pix2pix", "colorizer"),
)
