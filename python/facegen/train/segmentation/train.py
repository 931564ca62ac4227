"""Fine-tuning the segmentation network: a new decoder on an encoder that stays as it is.

The encoder comes from a network that knows ImageNet (transfer learning): with some hundred pictures
it could not be learned. The decoder starts as an untrained FCN does (Long, Shelhamer, Darrell
2015): all scores are 0 and the transposed convolutions interpolate.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from facegen.engine.device import CPU
from facegen.errors import FacegenError
from facegen.networks import segmentation
from facegen.nn import ConvTranspose2d
from facegen.train.confusion import confusion
from facegen.train.hooks import Every
from facegen.train.initial_weights import digest
from facegen.train.loop import Loop
from facegen.train.order import Order
from facegen.train.ranks import Ranks
from facegen.train.reports import SILENT, Reports
from facegen.train.schedules import Schedule, one_cycle
from facegen.train.segmentation.learner import Learner, classes_of, segmenter
from facegen.train.segmentation.masks import VOID, Pairs
from facegen.train.segmentation.native_learner import NativeLearner
from facegen.train.split import split


@dataclass(frozen=True)
class SegmentationSettings:
    """All that decides what comes out, given the pairs and the first weights.

    Attributes
    ----------
    epochs, batch
        Passes over the pairs that are trained on; pairs a step.
    seed
        Of the order, and of which pictures are mirrored.
    held_out
        Pairs that are not trained on; see `split.split`.
    freeze_encoder
        Keep conv1 to fire9 as they are, else train all layers.
    learning_rate
        Of Adam at its highest, after a twentieth of the steps; see `schedules.one_cycle`.
    shares
        As for `facegen.train.Trainer`.
    """

    epochs: int = 20
    batch: int = 8
    seed: int = 0
    held_out: int = 20
    freeze_encoder: bool = True
    learning_rate: float = 1e-4
    shares: int = 1

    def order(self, pairs: Pairs) -> Order:
        """Of those that are trained on."""
        return Order(len(split(len(pairs), self.held_out)[0]), self.batch, self.seed)

    def rate(self, pairs: Pairs) -> Schedule:
        steps = self.epochs * self.order(pairs).steps_per_epoch
        return one_cycle(self.learning_rate, steps, rise=0.05)


def first_weights(
    network: str, weights: Mapping[str, np.ndarray], classes: int = segmentation.CLASSES
) -> dict[str, np.ndarray]:
    """What training starts from: a classifier's encoder and conv10, or a network of this kind.

    Scores of another number of classes than `classes` are not taken over.

    Parameters
    ----------
    network, weights
        Name and canonical weights, as `facegen.loading.read_network` gives them.

    Raises
    ------
    FacegenError
        It is another network.
    """
    graph = segmentation.graph(classes)
    if network.startswith(segmentation.NAME):
        if classes_of(weights) == classes:
            return dict(weights)
        shapes = graph.parameters
        weights = {name: each for name, each in weights.items() if each.shape == shapes[name]}
    elif not network.startswith("squeezenet"):
        raise FacegenError(f"expected squeezenet or segmentation to start from, found {network}")
    shared = {name.replace("classifier.", "conv10."): values for name, values in weights.items()}
    scores = {name: np.zeros(shape, np.float32) for name, shape in graph.parameters.items()}
    enlarging = {
        f"{node.name}.weight": bilinear(node.layer)
        for node in graph.nodes
        if isinstance(node.layer, ConvTranspose2d)
    }
    return scores | enlarging | shared


def bilinear(layer: ConvTranspose2d) -> NDArray[np.float32]:
    """Weights (out, kernel h, kernel w, in) that enlarge each map by itself."""
    kernel, stride = layer.axes[0].kernel, layer.axes[0].stride
    tent = np.maximum(0, 1 - np.abs(np.arange(kernel) - (kernel - 1) / 2) / stride)
    weight = np.eye(layer.out_channels)[:, None, None, :] * np.outer(tent, tent)[..., None]
    return weight.astype(np.float32)


def native(
    pairs: Pairs,
    weights: Mapping[str, np.ndarray],
    settings: SegmentationSettings,
    threads: int | None = None,
    reports: Reports = SILENT,
    ranks: Ranks | None = None,
    device: str = CPU,
) -> Learner:
    """The learner on the package's own kernels; `ranks` share its batches or are asynchronous."""
    check(pairs, settings)
    rate, frozen = settings.rate(pairs), settings.freeze_encoder
    return NativeLearner(
        pairs, weights, rate, frozen, settings.epochs, threads, reports, ranks, device,
        settings.shares,
    )  # fmt: skip


def check(pairs: Pairs, settings: SegmentationSettings) -> None:
    """FacegenError where there are too few pairs, or none held out has a class."""
    _, held_out = split(len(pairs), settings.held_out)
    if (pairs.classes[held_out] == VOID).all():
        raise FacegenError(f"held out: no pixel of the {len(held_out)} masks has a class")


def train(
    pairs: Pairs,
    learner: Learner,
    settings: SegmentationSettings,
    reports: Reports = SILENT,
    resume: bool = False,
    overwrite: bool = False,
    ranks: Ranks | None = None,
) -> dict[str, np.ndarray]:
    """Fine-tune from where a learner is, and return the canonical weights.

    The log has an entry before training and one after every epoch, with "iou" (mean over the
    classes, of the pairs held out) and, after an epoch, "loss". `ranks` are the learner's.

    Raises
    ------
    FacegenError
        Training diverged; or there are too few pairs, or none held out has a class.
    """
    check(pairs, settings)
    chosen, held_out = split(len(pairs), settings.held_out)
    order, classes = settings.order(pairs), classes_of(learner.weights())

    def read(number: int) -> Any:
        batch = order(number)
        mirrored = batch.random.random(len(batch.samples)) < 0.5
        return learner.read(chosen[batch.samples], mirrored)

    def learn(batches: Sequence[Any]) -> list[dict[str, np.ndarray]]:
        return [{"loss": losses} for losses in learner.steps(batches)]

    def measure(step: int) -> dict[str, float]:
        counts = confusion_of_pairs(learner.classify, pairs, held_out, classes)
        return {"iou": round(mean_iou(counts), 4)}

    loop = Loop(
        read,
        None if learner.together else lambda batch: learn([batch])[0],
        {"network": learner},
        settings.epochs * order.steps_per_epoch,
        settings.batch,
        hooks=[Every(order.steps_per_epoch, measure, at_start=True)],
        settings={
            **asdict(settings),
            "data": crc32(pairs.pixels.data) ^ crc32(pairs.classes.data),
            "start": digest(learner.weights()),
        },
        reports=reports,
        epoch=order.steps_per_epoch,
        ahead=learner.ahead(settings.batch),
        several=learn if learner.together else None,
        ranks=ranks,
        exchange=learner.exchange,
    )
    loop.run(resume, overwrite)
    learner.finish(held_out)
    return learner.weights()


def iou_of_engine(
    weights: Mapping[str, np.ndarray], pairs: Pairs, held_out: int, device: str = CPU
) -> tuple[float, NDArray[np.int64]]:
    """Mean IoU of the pairs held out as `facegen.Segmenter` finds their classes, and the counts."""
    model = segmenter(weights, device=device)

    def classify(samples: NDArray[np.int64]) -> NDArray[Any]:
        return model.classes(np.stack([model.prepare(pairs.pixels[i]) for i in samples]))

    chosen = split(len(pairs), held_out)[1]
    counts = confusion_of_pairs(classify, pairs, chosen, classes_of(weights))
    return mean_iou(counts), counts


def confusion_of_pairs(
    classify: Callable[[NDArray[np.int64]], NDArray[Any]],
    pairs: Pairs,
    chosen: NDArray[np.int64],
    classes: int,
    batch: int = 8,
) -> NDArray[np.int64]:
    """How many pixels of each class (row) were taken for each class (column), square.

    `classify` gives class maps (n, 227, 227) of the pairs of these numbers.
    """
    counts = np.zeros((classes, classes), np.int64)
    for start in range(0, len(chosen), batch):
        part = chosen[start : start + batch]
        answers, guesses = pairs.classes[part], classify(part)
        known = answers != VOID
        counts += confusion(answers[known], guesses[known], classes)
    return counts


def mean_iou(counts: NDArray[np.int64]) -> float:
    """Intersection over union, averaged over the classes that are there (Pascal VOC's measure)."""
    both = np.diag(counts)
    there = counts.sum(axis=1) > 0
    either = counts.sum(axis=0) + counts.sum(axis=1) - both
    return float((both[there] / either[there]).mean()) if there.any() else math.nan
