"""The two networks of pix2pix that play against each other (Isola et al. 2017)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facegen.engine.device import CPU
from facegen.graphs import resized_graph
from facegen.networks import pix2pix
from facegen.networks.pix2pix import DEPTH, IMAGE
from facegen.nn import Graph, Shape
from facegen.train import L1, Adam, BinaryCrossEntropy, Pieces, Trainer, join
from facegen.train.pix2pix import discriminator
from facegen.train.ranks import Ranks

DEVIATION = 0.02  # of the weights at the start
BETAS = (0.5, 0.999)
_DROPPED = tuple(f"decoder_{i}.norm" for i in (DEPTH, DEPTH - 1, DEPTH - 2))


@dataclass(frozen=True)
class Pix2PixSettings:
    """All that decides what comes out, given the pairs.

    Attributes
    ----------
    width
        Channels of the generator's first layer; the published network has 64.
    side
        Of the pictures, a multiple of 256.
    epochs, batch
        Passes over the pairs; pairs a step.
    learning_rate
        Of Adam, for the first half of the steps; then it falls to 0 along a line.
    l1
        Weight of the mean distance to the right picture; that of the score is 1.
    discriminator_width
        Channels of the discriminator's first layer; 0: as the generator's.
    dropout
        Share left out behind the norms of the three innermost decoders, in training alone.
    jitter
        Pairs are shown moved by up to 30 of 286 pixels.
    mirror
        Half of them are shown mirrored.
    direction
        "AtoB" or "BtoA".
    seed
        Of the first weights and of every random choice, but not of the split.
    shares
        As for `facegen.train.Trainer`.
    """

    width: int = pix2pix.WIDTH
    side: int = IMAGE.height
    epochs: int = 200
    batch: int = 1
    learning_rate: float = 2e-4
    l1: float = 100.0
    discriminator_width: int = 0
    dropout: float = 0.5
    jitter: bool = True
    mirror: bool = True
    direction: str = "AtoB"
    seed: int = 0
    shares: int = 1


def generator_graph(width: int, side: int) -> Graph:
    """The U-Net for pictures (side, side, 3)."""
    return resized_graph(pix2pix.graph(width), [Shape(side, side, IMAGE.channels)])


def initial_weights(graph: Graph, seed: int) -> dict[str, NDArray[np.float32]]:
    """Normal of deviation 0.02, as are gammas about 1; biases and betas 0."""
    random = np.random.Generator(np.random.PCG64(seed))
    weights = {}
    for name, shape in graph.parameters.items():
        values = np.zeros(shape)
        if not name.endswith((".bias", ".beta")):
            values = DEVIATION * random.standard_normal(shape) + name.endswith(".gamma")
        weights[name] = values.astype(np.float32)
    return weights


class Players:
    """A generator, a discriminator, and a step of both.

    Parameters
    ----------
    steps
        Of the whole run, which the rates depend on.
    weights
        Of the generator, to train further; None: drawn.
    threads, device, ranks
        As for `facegen.train.Trainer`.
    """

    def __init__(
        self,
        settings: Pix2PixSettings,
        steps: int,
        weights: Mapping[str, np.ndarray] | None = None,
        threads: int | None = None,
        device: str = CPU,
        ranks: Ranks | None = None,
    ) -> None:
        s = settings
        self.graph = generator_graph(s.width, s.side)
        discriminator_graph = discriminator.graph(s.side, s.discriminator_width or s.width)
        own = dict(weights or initial_weights(self.graph, s.seed))
        discriminator_weights = initial_weights(discriminator_graph, s.seed + 1)
        image, picture = self.graph.inputs[0].name, self.graph.outputs[0].name
        score = discriminator_graph.outputs[0].name
        self._picture, self._score = picture, score
        half = steps / 2

        def rate(step: int) -> float:
            return s.learning_rate * min(1.0, max(0.0, (steps - step) / half))

        self.generator = Trainer(
            join(
                self.graph,
                discriminator_graph,
                given={discriminator.SOURCE: image, discriminator.PICTURE: picture},
                outputs=(picture, score),
            ),
            {picture: L1(weight=s.l1), score: BinaryCrossEntropy()},
            Adam(rate=rate, betas=BETAS),
            weights={**own, **discriminator_weights},
            frozen=[node.name for node in discriminator_graph.nodes if node.layer is not None],
            dropout=dict.fromkeys(_DROPPED, s.dropout),
            threads=threads,
            seed=s.seed,
            outputs=(picture,),
            device=device,
            ranks=ranks,
            shares=s.shares,
        )
        self.discriminator = Trainer(
            discriminator_graph,
            BinaryCrossEntropy(),
            Adam(rate=rate, betas=BETAS),
            weights=discriminator_weights,
            threads=threads,
            seed=s.seed,
            device=device,
            ranks=ranks,
            shares=s.shares,
        )

    @property
    def weights(self) -> dict[str, np.ndarray]:
        """The generator's, which change at their places."""
        both = self.generator.weights
        return {name: both[name] for name in self.graph.parameters}

    def step(self, source: np.ndarray, target: np.ndarray) -> dict[str, np.ndarray]:
        """Change both networks by a batch; (n, side, side, 3) float32 each, -1 to 1.

        The discriminator sees what the generator made for its own step, before that changed it: so
        nothing is computed twice, and on a GPU it is read there, without waiting for the losses.

        Returns
        -------
        Each image's losses: "l1", "gan" (the generator's), "discriminator".
        """
        n = len(source)
        ones = np.ones(n)
        self.generator.step(source, {self._picture: target, self._score: ones}, wait=False)
        made = self.generator.output(self._picture, on_device=self.generator.device != CPU)
        pairs = [Pieces([source, source]), Pieces([target, made])]
        self.discriminator.step(pairs, np.repeat([1.0, 0.0], n), wait=False)
        self.generator.wait()
        losses = self.generator.losses
        return {
            "l1": losses[self._picture],
            "gan": losses[self._score],
            "discriminator": self.discriminator.wait()[-1],
        }
