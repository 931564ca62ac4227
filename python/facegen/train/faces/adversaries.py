"""A DCGAN and its discriminator, trained by turns on the package's own kernels.

The discriminator learns which of two pictures is the real one, the generator to make it wrong
(relativistic pairs: Jolicoeur-Martineau 2019), both held back by zero-centred gradient penalties on
real and on generated pictures (R1: Mescheder et al. 2018; both, and less of them towards the end:
Huang et al. 2024). The result is a moving average of the generator's weights.

A slope is the difference of two scores, of a picture moved a little down its slope and up. Its
gradient in the discriminator's weights is that of the slope, as far as a short move tells: the
direction depends on them too, but it is the steepest, where turning it changes nothing. So nothing
has to be derived twice. Noise on one side instead (Lin et al. 2025) also punishes scores that fall
by any noise, which is what a discriminator needs to see grain; docs/training-faces.md has figures.

A picture goes from the generator through augmentation to the discriminator, and a gradient the same
way back: the discriminator's in its input, by the adjoint of the augmentation, into the generator.
On a GPU all of them stay there, and scores; pictures that are real, and what is drawn, come from
the host, and go up while the steps before run (`Adversaries.read`). What one network does is
enqueued behind what the other does: the host waits once, at the end of a step of both.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from facegen.engine.device import CPU
from facegen.networks import dcgan
from facegen.nn import BatchNorm, Graph
from facegen.nn.grad import Adam, BinaryCrossEntropy, Given, RelativisticPairs
from facegen.train.augment.change import Change
from facegen.train.augment.places import place_of
from facegen.train.faces import discriminator
from facegen.train.faces.data import to_values
from facegen.train.faces.settings import FaceSettings
from facegen.train.in_parts import StepInParts
from facegen.train.order import Batch
from facegen.train.pieces import Pieces
from facegen.train.ranks import Ranks
from facegen.train.statistics import measure_statistics
from facegen.train.trainer import Trainer
from facegen.weights import digest

# How far two pictures are apart of whose scores a slope is told, as the length of their difference:
# little beside what pictures differ by among themselves, and far more than scores are rounded by.
# The closer they are, the fewer ReLUs turn between them: half as far apart, the penalties' gradient
# is turned by 10 degrees.
APART = 0.1
_CHUNK = 256  # latents at once, where statistics are measured


class Adversaries:
    """Both networks, their optimizers and the pictures.

    Parameters
    ----------
    pixels
        (n, side, side, 3) uint8; the side is one of `dcgan.SIDES`
    init, discriminator_init
        Canonical weights that the generator and the discriminator start from: transfer learning.
        Random ones of the seed if None.
    threads
        Of the CPU; None: one a processor. The results have the same bits for any number.
    tell
        Called with a line where memory is short.
    device, ranks
        As for `facegen.train.Trainer`. Of ranks each makes and changes all pictures of a batch,
        which its sums want as those of one process are, and learns from its own.
    """

    def __init__(
        self,
        pixels: NDArray[np.uint8],
        settings: FaceSettings,
        init: Mapping[str, np.ndarray] | None = None,
        threads: int | None = None,
        tell: Callable[[str], None] = lambda line: None,
        device: str = CPU,
        ranks: Ranks | None = None,
        discriminator_init: Mapping[str, np.ndarray] | None = None,
    ) -> None:
        self.pixels, self.settings, self.threads = pixels, settings, threads
        given = {"start": init, "discriminator": discriminator_init}
        self.begun_from = {name: digest(each)[:12] for name, each in given.items() if each}
        side = pixels.shape[1]
        graph = dcgan.network_of(side).graph()
        frozen = frozen_layers(settings.freeze)
        self.kept_norms = frozen & {n.name for n in graph.nodes if isinstance(n.layer, BatchNorm)}
        weights = generator_weights(graph, settings.seed) if init is None else copies(init)
        optimizer = Adam(rate=settings.rate, betas=(0.0, 0.99))
        averaged = replace(optimizer, average=settings.decay)
        precision, shares = settings.precision, settings.shares
        self.generator = Trainer(
            graph, Given(), averaged, weights=weights, threads=threads, frozen=frozen,
            stored_statistics=self.kept_norms, device=device, ranks=ranks, precision=precision,
            shares=shares,
        )  # fmt: skip
        # Of ranks and shares the forward pass is all pictures', and the step is of some of them.
        self._goes_on = ranks is None and shares == 1
        discriminator_graph = discriminator.graph(settings.width, side=side)
        if discriminator_init is None:
            discriminator_weights = discriminator.initial_weights(
                settings.width, settings.seed, side
            )
        else:
            discriminator_weights = copies(discriminator_init)
        self.discriminator = Trainer(
            discriminator_graph, RelativisticPairs(), optimizer, threads=threads, device=device,
            ranks=ranks, weights=discriminator_weights, precision=precision, shares=shares,
        )  # fmt: skip
        self._paired = StepInParts(self.discriminator, tell)
        self._penalised = None
        if settings.most_penalty:
            weight = settings.most_penalty / 2 * settings.penalty_every / APART**2
            penalised = Trainer(
                discriminator_graph, RelativisticPairs(penalty=weight), optimizer,
                threads=threads, moments_of=self.discriminator, device=device, ranks=ranks,
                shares=shares,
            )  # fmt: skip
            self._penalised = StepInParts(penalised, tell)
        self._place = place_of(self.generator.device, threads)
        # One of its own, since calls of a place wait for each other; the step has the threads.
        self._ahead = place_of(self.generator.device, 1)
        layers = [node.name for node in discriminator_graph.nodes if node.layer is not None]
        # What the generator learns by: the same weights, which stay as they are.
        self._frozen_discriminator = Trainer(
            discriminator.graph(settings.width, True, side), BinaryCrossEntropy(), optimizer,
            weights=self.discriminator.weights, threads=threads, frozen=layers, inputs=["picture"],
            device=device, ranks=ranks, precision=precision, shares=shares,
        )  # fmt: skip

    @property
    def parts(self) -> dict[str, Trainer]:
        """What a checkpoint holds."""
        return {"generator": self.generator, "discriminator": self.discriminator}

    def read(self, batch: Batch) -> Shown:
        """What a step takes that no weights decide."""
        settings, n, random = self.settings, len(batch.samples), batch.random
        pictures = to_values(self.pixels[batch.samples])
        of_real, z = settings.of_real.draw(n, random), latents(n, random)
        of_made = settings.of_generated.draw(n, random)
        apart = None
        if self._penalised is not None and batch.step % settings.penalty_every == 0:
            # The penalty is as the square of how far pictures are apart.
            share = settings.penalty_at(batch.step) / settings.most_penalty
            apart = APART * math.sqrt(share)
        real = self._ahead.changed(pictures, of_real)
        return Shown(real, z, of_made, settings.of_generated.draw(n, random), apart)

    def step(self, shown: Shown) -> dict[str, np.ndarray]:
        """Change both networks by what `read` gave; the losses of each pair.

        "discriminator", or "penalised" in a step with penalties, which are added to it; and
        "generator".
        """
        changed, on_device, real = self._place.changed, self._place.on_device, shown.real
        made = self.generator.predict(shown.z, on_device=on_device)["tanh"]
        fake = changed(made, shown.of_made)
        if self._penalised is not None and shown.apart is not None:
            real_less, real_more = self._sides(real, shown.apart)
            fake_less, fake_more = self._sides(fake, shown.apart)
            # The pairs' own loss is told of the first two, whose scores are nearly those unmoved.
            fours = Pieces([real_less, fake_less, real_more, fake_more], interleaved=True)
            name, every, learns = "penalised", 4, self._penalised
            learns.begin(fours)
        else:
            name, every, learns = "discriminator", 2, self._paired
            learns.begin(Pieces([real, fake], interleaved=True))

        change = shown.for_generator
        scores = self.discriminator.predict(real, on_device=on_device)["score"]
        _, gradients = self._frozen_discriminator.gradients(
            [changed(made, change), scores], 1.0, on_device=on_device, wait=False
        )
        back = self._place.changed_back(gradients["picture"], change)
        self.generator.step(shown.z, back, predicted=self._goes_on, wait=False)
        # In this order a number that is not finite is named where it began.
        losses = {name: learns.trainer.wait()[-1][::every]}
        losses["generator"] = self._frozen_discriminator.wait()[-1]
        self.generator.wait()
        return losses

    def _sides(self, pictures: Any, apart: float) -> tuple[Any, Any]:
        """Each picture moved down its score's slope and up, the two so far apart."""
        on_device = self._place.on_device
        scores = self.discriminator.predict(pictures, on_device=on_device)["score"]
        # At a lead of 0 the loss of target 0 rises with the score: its gradient points upwards.
        _, gradients = self._frozen_discriminator.gradients(
            [pictures, scores], 0.0, on_device=on_device, wait=False
        )
        return self._place.either_side(pictures, gradients["picture"], apart)

    def weights(self, count: int) -> dict[str, np.ndarray]:
        """The averaged generator's, its batch norms measured over so many latents."""

        def batches() -> Iterator[np.ndarray]:
            random = np.random.default_rng(0)
            for first in range(0, count, _CHUNK):
                yield latents(min(_CHUNK, count - first), random)

        return measure_statistics(
            self.generator.graph, self.generator.averages, batches, self.kept_norms, self.threads,
            self.generator.device,
        )  # fmt: skip


def latents(count: int, random: np.random.Generator) -> NDArray[np.float32]:
    """Uniform in -1 to 1, (count, 1, 1, 100)."""
    values = random.random((count, 1, 1, dcgan.LATENT), np.float32)
    return values * np.float32(2) - np.float32(1)


def copies(weights: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Float32 arrays of one's own, to be changed."""
    return {name: np.array(array, np.float32, order="C") for name, array in weights.items()}


class Shown(NamedTuple):
    """What a step of `Adversaries` shows."""

    real: Any
    """(n, side, side, 3) about -1 to 1, where the networks are."""
    z: NDArray[np.float32]
    """(n, 1, 1, 100)."""
    of_made: Change
    """What the pictures that are made of them are changed by, for the discriminator ..."""
    for_generator: Change
    """... and then for the generator."""
    apart: float | None
    """How far pictures are apart by whose scores slopes are told; None without penalties."""


def frozen_layers(count: int) -> set[str]:
    """The first layers with weights of the generator, and the batch norms behind them."""
    layers = [("proj", "bn0")] + [(f"tconv{i}", f"bn{i}") for i in range(1, 4)]
    if not 0 <= count <= len(layers):
        raise ValueError(f"freeze: expected 0 to {len(layers)} layers, found {count}")
    return {name for part in layers[:count] for name in part}


def generator_weights(graph: Graph, seed: int) -> dict[str, np.ndarray]:
    """As Radford et al. 2015 draw them: normal, of deviation 0.02."""
    random = np.random.default_rng(seed)
    weights = {}
    for name, shape in graph.parameters.items():
        kind = name.rpartition(".")[2]
        values = np.full(shape, 1.0 if kind in ("gamma", "var") else 0.0)
        if kind in ("weight", "gamma"):
            values += random.normal(0, 0.02, shape)
        weights[name] = values.astype(np.float32)
    return weights
