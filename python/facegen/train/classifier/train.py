"""Training a classifier of one's own classes from a network that knows pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from facegen.engine import Runner
from facegen.engine.device import CPU
from facegen.errors import FacegenError
from facegen.graphs import GraphNetwork
from facegen.nn import BatchNorm, Graph, lower
from facegen.nn.grad import Adam, Group
from facegen.train.ahead import batches_ahead
from facegen.train.best import Best
from facegen.train.classifier import regimes
from facegen.train.classifier.network import Start, head_of
from facegen.train.classifier.pictures import ClassPictures
from facegen.train.classifier.regimes import Regime
from facegen.train.classifier.shown import Shown, mirrored
from facegen.train.confusion import confusion
from facegen.train.cut import own_weights
from facegen.train.exchange import Exchange
from facegen.train.hooks import Enough, Every
from facegen.train.in_parts import StepInParts
from facegen.train.initial_weights import digest
from facegen.train.loop import Loop
from facegen.train.order import Order
from facegen.train.ranks import Ranks
from facegen.train.reports import SILENT, Reports
from facegen.train.schedules import one_cycle
from facegen.train.split import stratified
from facegen.train.trainer import Trainer

_BATCH = 32  # pictures that are looked at at once


@dataclass(frozen=True)
class ClassifierSettings:
    """All that decides what comes out, given the pictures and the network.

    Attributes
    ----------
    layers
        "last", "few", "all", or "auto" by the amount of pictures: see `regimes`.
    epochs, batch
        Passes over the pictures that are trained on, at most; pictures a step.
    seed
        Of the order, and of how pictures are changed.
    held_out
        Share of each class that is not trained on.
    learning_rate
        Of Adam at its highest, for the new head; old layers have a tenth of it. 0.001 if None.
    patience
        Epochs without a lower loss of the pictures held out, after which training ends.
    shares
        As for `facegen.train.Trainer`.
    """

    layers: str = "auto"
    epochs: int | None = None
    batch: int = 32
    seed: int = 0
    held_out: float = 0.2
    learning_rate: float | None = None
    patience: int | None = None
    shares: int = 1

    def of(self, layers: str) -> ClassifierSettings:
        """With the regime's own numbers where none are given."""
        epochs, rate, patience = {
            regimes.LAST: (200, 1e-3, 20), regimes.FEW: (40, 1e-3, 8), regimes.ALL: (20, 1e-3, 5)
        }[layers]  # fmt: skip
        return replace(
            self,
            layers=layers,
            epochs=self.epochs or epochs,
            learning_rate=self.learning_rate or rate,
            patience=self.patience or patience,
        )


@dataclass(frozen=True)
class Trained:
    """The result, and how good it is on what it never learned from.

    Attributes
    ----------
    counts
        How many pictures held out of each class (row) were taken for each class (column).
    epoch
        Whose weights these are.
    """

    network: GraphNetwork
    regime: Regime
    counts: NDArray[np.int64]
    epoch: float

    @property
    def accuracy(self) -> float:
        return float(np.trace(self.counts) / self.counts.sum())


def train(
    pictures: ClassPictures,
    start: Start,
    settings: ClassifierSettings,
    threads: int | None = None,
    reports: Reports = SILENT,
    resume: bool = False,
    overwrite: bool = False,
    ranks: Ranks | None = None,
    device: str = CPU,
) -> Trained:
    """Train, and keep the weights with the lowest loss of the pictures held out.

    `ranks` share every batch, which changes no bit of the result, or are asynchronous; all get it.
    `device` is as for `facegen.train.Trainer`; the layers in front are computed there too.

    Raises
    ------
    FacegenError
        Training diverged; a layer that is to be trained has no gradient.
    """
    regime = regimes.choose(start.graph, settings.layers, len(pictures), len(pictures.names))
    settings = settings.of(regime.layers)
    assert settings.epochs and settings.learning_rate and settings.patience  # `of` has them
    if regime.reason:
        reports.note(f"trains {_said(regime)}: {regime.reason}")
    chosen, held_out = stratified(pictures.labels, settings.held_out)
    order = Order(len(chosen), settings.batch, settings.seed)
    steps = settings.epochs * order.steps_per_epoch
    weights = {name: np.array(array) for name, array in start.weights.items()}
    shown = Shown(pictures, start, regime, weights, threads, reports, device)
    trainer = _trainer(
        shown.graph, start.graph, regime, weights, settings, steps, threads, ranks, device
    )
    exchange = Exchange.of(ranks, trainer)
    step = StepInParts(trainer, reports.note, exchange)
    best = Best(lambda: trainer.weights, settings.patience)
    kept = shown.hold(step)
    floats = sum(tensor.shape.floats for tensor in shown.graph.inputs)

    def read(number: int) -> tuple[Any, NDArray[np.int64]]:
        batch = order(number)
        samples = chosen[batch.samples]
        if kept is not None:
            return kept.rows(samples, mirrored(batch)), pictures.labels[samples]
        return shown.changed(batch, samples), pictures.labels[samples]

    def learn(item: tuple[Any, NDArray[np.int64]]) -> dict[str, np.ndarray]:
        return {"loss": step(*item)}

    def learn_several(
        items: Sequence[tuple[Any, NDArray[np.int64]]],
    ) -> list[dict[str, np.ndarray]]:
        """The same of features that a GPU holds."""
        assert kept is not None
        return [{"loss": losses} for losses in kept.several([rows for rows, _ in items])]

    def measure(done: int) -> dict[str, float]:
        scores = np.concatenate([
            next(iter(trainer.predict(shown.plain(part)).values()))[:, 0, 0]
            for part in np.split(held_out, range(_BATCH, len(held_out), _BATCH))
        ]).astype(np.float64)  # fmt: skip
        labels = pictures.labels[held_out]
        logs = scores - scores.max(axis=1, keepdims=True)
        logs -= np.log(np.exp(logs).sum(axis=1, keepdims=True))
        loss = -float(logs[np.arange(len(labels)), labels].mean())
        found = {
            "held_out_loss": round(loss, 5),
            "accuracy": round(float((scores.argmax(axis=1) == labels).mean()), 4),
        }
        if best.add(done, loss):
            raise Enough(f"no better for {best.patience} epochs", found)
        return found

    loop = Loop(
        read,
        learn if kept is None else None,
        {"network": trainer, "best": best},
        steps,
        settings.batch,
        hooks=[Every(order.steps_per_epoch, measure)],
        several=None if kept is None else learn_several,
        ahead=batches_ahead(trainer.device, threads, settings.batch * floats),
        settings={
            **asdict(settings),
            "classes": list(pictures.names),
            "data": crc32(pictures.pixels.data),
            "start": digest(start.weights),
        },
        reports=reports,
        epoch=order.steps_per_epoch,
        ranks=ranks,
        exchange=exchange,
    )
    loop.run(resume, overwrite)
    weights |= best.weights
    network = replace(
        GraphNetwork.of(start.graph, weights), classes=pictures.names, preparation=start.preparation
    )
    counts = _confusion_of_held_out(network, pictures, start, held_out, threads, device)
    return Trained(network, regime, counts, best.step / order.steps_per_epoch)


def _said(regime: Regime) -> str:
    return {
        regimes.LAST: "the last layer alone",
        regimes.FEW: f"the last {len(regime.trained)} layers",
        regimes.ALL: "all layers",
    }[regime.layers]


def _trainer(
    graph: Graph,
    whole: Graph,
    regime: Regime,
    weights: dict[str, np.ndarray],
    settings: ClassifierSettings,
    steps: int,
    threads: int | None,
    ranks: Ranks | None,
    device: str,
) -> Trainer:
    norms = [node.name for node in graph.nodes if isinstance(node.layer, BatchNorm)]
    layers = {name.rpartition(".")[0] for name in graph.parameters}
    groups = [Group(f"{head_of(whole)}.*"), Group("*", 0.1)]
    assert settings.learning_rate
    try:
        return Trainer(
            graph,
            "cross_entropy",
            Adam(rate=one_cycle(settings.learning_rate, steps, rise=0.1), groups=groups),
            weights=own_weights(graph, weights),
            threads=threads,
            frozen=layers - regime.trained,
            stored_statistics=norms,  # those of the few pictures of a batch say less
            ranks=ranks,
            shares=settings.shares,
            device=device,
        )
    except ValueError as error:
        raise FacegenError(f"--layers {regime.layers}: {error}") from None


def _confusion_of_held_out(
    network: GraphNetwork,
    pictures: ClassPictures,
    start: Start,
    held_out: NDArray[np.int64],
    threads: int | None,
    device: str,
) -> NDArray[np.int64]:
    """As the engine finds the classes of pictures held out with the finished weights."""
    runner = Runner(lower(network.graph, network.weights), device, threads)
    n = len(pictures.names)
    counts = np.zeros((n, n), np.int64)
    for part in np.split(held_out, range(_BATCH, len(held_out), _BATCH)):
        guesses = runner(start.preparation.values(pictures.pixels[part]))[:, 0, 0].argmax(axis=1)
        counts += confusion(pictures.labels[part], guesses, n)
    return counts
