"""Projection: the latent vector whose face is nearest to a given one.

The generator stays as it is; the squared distance of its face to the picture has a gradient in the
latent vector, which Adam follows (Kingma & Ba 2015), within what latent vectors are drawn from. As
that may end beside the way, several start at once, from the nearest of many random faces, and the
best of them counts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from facegen.engine.device import CPU
from facegen.networks.dcgan import Generator
from facegen.networks.priors import UNIFORM, Prior
from facegen.nn import BatchNorm
from facegen.nn.grad import Adam
from facegen.train.faces.quality import GRID, distances
from facegen.train.trainer import Trainer

_TRIED = 2000  # faces, of the first seeds, of which the nearest are where it starts
_CHUNK = 250
_RATE = 0.05  # of Adam, falling along half a cosine
_BETAS = (0.9, 0.99)
_FURTHEST = 3.0  # deviations, of normal latent vectors

Floats = NDArray[np.float32]


class Projected(NamedTuple):
    """What was found of some pictures."""

    latents: Floats
    """(n, latent size)."""
    errors: Floats
    """(n,): root mean square of the pixels' difference, of a range of 255."""


class Projector:
    """Finds latent vectors of a generator's faces.

    Parameters
    ----------
    generator
        Any whose faces are pictures of one side with three channels, 16 pixels a side and more.
    threads, device
        As of `facegen.train.Trainer`.
    """

    def __init__(
        self, generator: Generator, threads: int | None = None, device: str = CPU
    ) -> None:
        self.generator = generator
        graph = generator.network.graph()
        layers = [node for node in graph.nodes if node.layer is not None]
        norms = [node.name for node in layers if isinstance(node.layer, BatchNorm)]
        (self._latent,) = (tensor.name for tensor in graph.inputs)
        weights = {
            name: np.array(values, np.float32, order="C")
            for name, values in generator.weights.items()
        }
        self._trainer = Trainer(
            graph, "l2", Adam(rate=_RATE), weights=weights, threads=threads, device=device,
            frozen=[node.name for node in layers], stored_statistics=norms, inputs=[self._latent],
        )  # fmt: skip
        self._tried = generator.latents(range(_TRIED))
        made = [
            coarse(generator(self._tried[first : first + _CHUNK]))
            for first in range(0, _TRIED, _CHUNK)
        ]
        self._coarse = np.concatenate(made)

    def __call__(
        self,
        pictures: Floats,
        steps: int = 150,
        restarts: int = 4,
        advance: Callable[[int], None] = lambda done: None,
    ) -> Projected:
        """Latent vectors of pictures (n, height, width, 3), -1 to 1, of the generator's size."""
        expected = self.generator.image_shape
        if pictures.shape[1:] != tuple(expected):
            raise ValueError(f"pictures: expected (n, {expected}), found {pictures.shape}")
        found = []
        for picture in pictures:
            found.append(self._one(picture, steps, restarts))
            advance(1)
        latents, errors = (np.stack(each) for each in zip(*found, strict=True))
        return Projected(latents, 127.5 * np.sqrt(errors))

    def _one(self, picture: Floats, steps: int, restarts: int) -> tuple[Floats, np.float32]:
        """The best latent vector of all that was met, and its mean squared error."""
        apart = distances(coarse(picture[None]), self._coarse)[0]
        z = self._tried[np.argsort(apart)[:restarts]].copy()
        shown = np.repeat(picture[None], len(z), axis=0)
        mean, square = np.zeros_like(z), np.zeros_like(z)
        best, least = z[0].copy(), np.float32(np.inf)
        for step in range(steps + 1):
            losses, gradients = self._trainer.gradients(z.reshape(len(z), 1, 1, -1), shown)
            k = int(losses.argmin())
            if losses[k] < least:
                best, least = z[k].copy(), losses[k]
            # The mean's gradient, times how many there are: each vector's own.
            gradient = gradients[self._latent].reshape(z.shape) * np.float32(len(z))
            for moment, beta, value in zip(
                (mean, square), _BETAS, (gradient, gradient * gradient), strict=True
            ):
                moment *= np.float32(beta)
                moment += np.float32(1 - beta) * value
            sizes = [np.float32(1 - beta ** (step + 1)) for beta in _BETAS]
            rate = np.float32(_RATE * 0.5 * (1 + np.cos(np.pi * step / steps)))
            z -= rate * (mean / sizes[0]) / (np.sqrt(square / sizes[1]) + np.float32(1e-8))
            z = within(self.generator.prior, z)
        return best, least


def coarse(pictures: Floats) -> Floats:
    """Pictures at about 16x16, as rows."""
    n, height, width, channels = pictures.shape
    block = max(1, height // GRID)
    cut = pictures[:, : height // block * block, : width // block * block]
    blocks = cut.reshape(n, height // block, block, width // block, block, channels)
    return np.ascontiguousarray(blocks.mean(axis=(2, 4)).reshape(n, -1))


def within(prior: Prior, latents: Floats) -> Floats:
    """Latent vectors no further out than those that are drawn."""
    furthest = np.float32(1 if prior == UNIFORM else _FURTHEST)
    held: Floats = np.clip(latents, -furthest, furthest)
    return held
