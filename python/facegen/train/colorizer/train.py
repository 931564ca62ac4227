"""Training the colorizer on photos, from nothing or from weights that know colours."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facegen.colour.lab import rgb_to_lab
from facegen.engine.device import CPU
from facegen.media.colorization import SIDE
from facegen.networks import NETWORKS, colorizer
from facegen.networks.colorizer import Colorizer
from facegen.photos.square import resized
from facegen.train import (
    SILENT,
    Adam,
    Loaded,
    Loop,
    Order,
    Reader,
    Reports,
    SoftCrossEntropy,
    Trainer,
    cosine,
    warm_up,
)
from facegen.train.ahead import batches_ahead
from facegen.train.colorizer.bins import UNIFORM, Bins, grid, of_network, rebalancing, to_network
from facegen.train.colorizer.photos import PhotoSample, Survey
from facegen.train.folders import digest_of_names
from facegen.train.initial_weights import digest as digest_of_weights
from facegen.train.initial_weights import initial_weights
from facegen.train.memory import check_run
from facegen.train.network_files import Widths
from facegen.train.ranks import Ranks
from facegen.train.readers import read_rgb
from facegen.train.split import split

WIDTHS = Widths(
    NETWORKS["colorizer"],
    lambda width: colorizer.graph(width=width),
    colorizer.WIDTH,
    "conv1_1.weight",
)
TEMPERATURE = 0.38  # as published: between the mean and the mode
BETAS = (0.9, 0.99)
_SCORES = "conv8_313"
_MULTIPLE = 8  # of sides: maps are an eighth, and colours a fourth of them


@dataclass(frozen=True)
class ColorizerSettings:
    """All that decides what comes out, given the photos.

    Attributes
    ----------
    width
        Channels of the first block; the published network has 64.
    side
        Of the parts of photos that are shown, a multiple of 8.
    epochs, batch
        Passes over the photos; photos a step.
    learning_rate
        Of Adam at its highest, along a cosine.
    weight_decay
        Of Adam.
    uniform
        Share of the uniform distribution in what rare colours count more by: see
        `bins.rebalancing`.
    temperature
        Of the softmax whose mean is the colour: 1 for the mean itself, which is off by least in the
        mean square; the nearer to 0, the nearer to the likeliest colour. Of a network that is
        trained further, the one that it was made with: no file records it, and with another
        training begins with scores that are too flat or too sharp.
    mirror
        Half of the photos are shown mirrored.
    zoom
        Photos are shown enlarged by up to so much: see `photos.PhotoSample`.
    seed
        Of the first weights and of every random choice, but not of the split.
    """

    width: int = colorizer.WIDTH
    side: int = SIDE
    epochs: int = 100
    batch: int = 8
    learning_rate: float = 1e-3
    weight_decay: float = 1e-3
    uniform: float = UNIFORM
    temperature: float = TEMPERATURE
    mirror: bool = True
    zoom: float = 1.0
    seed: int = 0


def check(settings: ColorizerSettings, width: int | None = None) -> None:
    """Raise ValueError for settings that no network has; `width`: of one to train further."""
    if settings.side < _MULTIPLE or settings.side % _MULTIPLE:
        raise ValueError(f"side: expected a multiple of {_MULTIPLE}, found {settings.side}")
    if width is not None and width != settings.width:
        raise ValueError(f"width: the network to train further has {width}, not {settings.width}")


def points_of(weights: Mapping[str, np.ndarray] | None) -> NDArray[np.float32]:
    """The colours (313, 2) that a network tells apart; None: one from nothing."""
    return grid() if weights is None else of_network(weights["model_out.weight"])


def first_weights(settings: ColorizerSettings) -> dict[str, np.ndarray]:
    """Weights of a seed, and the points of the grid: (2, 1, 1, 313) of the last convolution."""
    graph = colorizer.score_graph(settings.side, settings.width)
    weights = initial_weights(graph, settings.seed)
    # All colours alike at first.
    weights[f"{_SCORES}.weight"] *= np.float32(0.01)
    return {**weights, "model_out.weight": to_network(grid())}


def annealed(weights: Mapping[str, np.ndarray], temperature: float) -> dict[str, np.ndarray]:
    """Weights whose scores are those of others over a temperature.

    Files have them so: the softmax of the network is the annealed one, and its mean the colour.
    """
    changed = {f"{_SCORES}.{part}" for part in ("weight", "bias")}
    factor = np.float32(1 / temperature)
    return {name: a * factor if name in changed else a for name, a in weights.items()}


def train(
    survey: Survey,
    settings: ColorizerSettings,
    held_out: int,
    weights: Mapping[str, np.ndarray] | None = None,
    threads: int | None = None,
    reports: Reports = SILENT,
    resume: bool = False,
    overwrite: bool = False,
    device: str = CPU,
    ranks: Ranks | None = None,
) -> tuple[dict[str, np.ndarray], list[str]]:
    """Train on photos, but for `held_out` of them.

    Parameters
    ----------
    weights
        Of a network to train further, as its file has them; its points stay as they are.
    threads
        As for `facegen.train.Trainer`; the result does not depend on it.
    resume, overwrite
        As for `Loop.run`.
    device
        As for `facegen.train.Trainer`.
    ranks
        That share every batch, which changes no bit of the result; all get it.

    Returns
    -------
    The network's weights, and the photos that were held out.

    Raises
    ------
    FacegenError
        Training diverged; no photo can be read any more; too many are held out; the machine has
        not the memory.
    """
    s, photos = settings, survey.photos
    graph = colorizer.score_graph(s.side, s.width)
    photo_floats = s.side**2 + 2 * graph.outputs[0].shape.floats
    check_run([graph], s.batch, photo_floats, device)
    chosen, kept = split(len(photos), held_out)
    order = Order(len(chosen), s.batch, s.seed)
    steps = s.epochs * order.steps_per_epoch
    first = first_weights(s) if weights is None else annealed(weights, 1 / s.temperature)
    points = first["model_out.weight"]
    bins, rarity = Bins(of_network(points)), rebalancing(survey.distribution, s.uniform)
    trainer = Trainer(
        graph,
        SoftCrossEntropy(),
        _optimizer(s, steps),
        weights={name: np.array(first[name], np.float32) for name in graph.parameters},
        threads=threads,
        seed=s.seed,
        device=device,
        ranks=ranks,
    )

    reader = Reader(PhotoSample([photos[i] for i in chosen], s.side, s.mirror, s.zoom), order)

    def read(number: int) -> Loaded:
        loaded = reader(number)
        lightness, ab = loaded.arrays
        return replace(loaded, arrays=(lightness, bins.targets(ab, rarity)))

    def step(loaded: Loaded) -> dict[str, Any]:
        lightness, targets = loaded.arrays
        return {"loss": trainer.step(lightness, targets)}

    loop = Loop(
        read=read,
        step=step,
        parts={"colorizer": trainer},
        steps=steps,
        images=s.batch,
        settings={
            **asdict(s),
            "photos": digest_of_names(map(os.path.basename, photos)),
            "held_out": held_out,
            "start": digest_of_weights(first),
        },
        reports=reports,
        epoch=order.steps_per_epoch,
        ahead=batches_ahead(trainer.device, threads, s.batch * photo_floats),
        workers=threads,
        ranks=ranks,
    )
    loop.run(resume, overwrite)
    result = annealed({**trainer.weights, "model_out.weight": points}, s.temperature)
    return result, [photos[i] for i in kept]


def _optimizer(settings: ColorizerSettings, steps: int) -> Adam:
    rate = warm_up(cosine(settings.learning_rate, steps), max(1, steps // 20))
    return Adam(rate=rate, betas=BETAS, weight_decay=settings.weight_decay)


def distances(
    network: str | os.PathLike[str],
    photos: Sequence[str],
    threads: int | None = None,
    device: str = CPU,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """How far a and b of each photo are off, by the network of a file and where all is grey.

    The mean over its pixels, whole, at the network's 256x256.
    """
    model = Colorizer(network, device=device, threads=threads)
    off, grey = [], []
    for path in photos:
        lab = rgb_to_lab(resized(read_rgb(path, least_side=SIDE), SIDE, SIDE))
        (found,) = model.ab(lab[np.newaxis, ..., 0])
        off.append(float(np.linalg.norm(found - lab[..., 1:], axis=2).mean()))
        grey.append(float(np.linalg.norm(lab[..., 1:], axis=2).mean()))
    return np.array(off), np.array(grey)
