"""Faces from noise: the generator of DCGAN (Radford, Metz, Chintala 2015), trained on celebA.

| step                | output (HWC) |
|---------------------|--------------|
| latent              | 100          |
| proj, bn0, ReLU     | 4x4x512      |
| tconv1, bn1, ReLU   | 8x8x256      |
| tconv2, bn2, ReLU   | 16x16x128    |
| tconv3, bn3, ReLU   | 32x32x64     |
| tconv4, tanh        | 64x64x3      |

Every tconv is 5x5 with stride 2 and TensorFlow's SAME padding: input pixel i contributes to
output 2 i + r - 1 by tap r.

"dcgan128" is the same with one layer more: 4x4x512, 8x8x256, 16x16x192, 32x32x128, 64x64x64 and
128x128x3. It has no network.bin.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from facegen.cached import cached_property
from facegen.engine import library_of
from facegen.errors import FormatError
from facegen.networks.model import Model
from facegen.networks.network import Network
from facegen.networks.priors import UNIFORM, Prior
from facegen.networks.seeded import seeded_weights
from facegen.nn import BatchNorm, ConvTranspose2d, Graph, Linear, ReLU, Reshape, Shape, Tanh
from facegen.numbers.floats import as_float32
from facegen.weights.layout import Entry

LATENT = 100
IMAGE = Shape(64, 64, 3)
CHANNELS = (512, 256, 128, 64, 3)  # of the 4x4, 8x8, 16x16, 32x32 and 64x64 maps
CHANNELS_OF_128 = (512, 256, 192, 128, 64, 3)
KERNEL = 5


def graph(channels: Sequence[int] = CHANNELS, name: str = "dcgan") -> Graph:
    """(1, 1, 100) -> (64, 64, 3), twice the side for each number of channels more."""
    g = Graph(name)
    x = g.input("latent", Shape(1, 1, LATENT))
    x = g.add("proj", Linear(LATENT, 4 * 4 * channels[0]), x)
    x = g.add("proj.reshape", Reshape(Shape(4, 4, channels[0])), x)
    for i, (before, after) in enumerate(pairwise(channels)):
        x = g.add(f"bn{i}", BatchNorm(before), x)
        x = g.add(f"relu{i}", ReLU(), x)
        tconv = ConvTranspose2d(before, after, KERNEL, stride=2, padding=((1, 2), (1, 2)))
        x = g.add(f"tconv{i + 1}", tconv, x)
    g.output(g.add("tanh", Tanh(), x))
    return g


def graph_of_128() -> Graph:
    """(1, 1, 100) -> (128, 128, 3)."""
    return graph(CHANNELS_OF_128, "dcgan128")


def _binary_layout() -> list[Entry]:
    def vector(name: str, size: int) -> Entry:
        return Entry(name, (size,), (0,))

    def batch_norm(i: int) -> list[Entry]:
        return [vector(f"bn{i}.{part}", CHANNELS[i]) for part in ("beta", "gamma", "mean", "var")]

    projected = 4 * 4 * CHANNELS[0]
    layout = [Entry("proj.weight", (LATENT, projected), (1, 0)), vector("proj.bias", projected)]
    layout += batch_norm(0)
    for i in range(1, 5):
        shape = (KERNEL, KERNEL, CHANNELS[i], CHANNELS[i - 1])
        layout.append(Entry(f"tconv{i}.weight", shape, (2, 0, 1, 3)))
        layout.append(vector(f"tconv{i}.bias", CHANNELS[i]))
        if i < 4:
            layout += batch_norm(i)
    return layout


def initial_weights(seed: int) -> dict[str, np.ndarray]:
    """Seeded weights whose pictures are coloured noise of middle contrast, not saturated."""
    return _seeded(graph(), seed)


def initial_weights_of_128(seed: int) -> dict[str, np.ndarray]:
    """The same for the larger network."""
    return _seeded(graph_of_128(), seed)


def _seeded(of: Graph, seed: int) -> dict[str, np.ndarray]:
    strides = {f"{node.name}.weight": 2 for node in of.nodes if node.name.startswith("tconv")}
    return seeded_weights(of.parameters, seed, strides)


def network_of(side: int) -> Network:
    """The one whose faces are so large; KeyError if there is none."""
    return {64: DCGAN, 128: DCGAN_128}[side]


def latents(seeds: Iterable[int]) -> np.ndarray:
    """The latent vector of each seed: (n, 100) float32, uniform in -1 to 1.

    Every seed has a random generator (PCG64) of its own, so seed 17 is the same face alone and in
    any batch.

    Raises
    ------
    FormatError
        A seed that is no integer, or below 0.
    """
    return UNIFORM.latents(seeds, LATENT)


def check_latents(values: Any, size: int = LATENT) -> np.ndarray:
    """Latents as C-contiguous (n, size) float32; one (size,) becomes (1, size).

    Raises
    ------
    FormatError
        Another shape, no real numbers, or NaN or infinity among them.
    """
    values = np.asarray(values)
    if values.dtype.kind not in "fiu":
        raise FormatError(f"latents: expected real numbers, found {values.dtype}")
    if values.ndim == 1:
        values = values[np.newaxis]
    if values.ndim != 2 or values.shape[1] != size:
        raise FormatError(f"latents: expected shape (n, {size}), found {values.shape}")
    values = as_float32(values)
    finite = np.isfinite(values)
    if not finite.all():
        row, column = np.argwhere(~finite)[0]
        raise FormatError(f"latents: found {values[row, column]} at [{row}, {column}]")
    return values


class Generator(Model):
    """Faces from latent vectors.

    How many numbers a latent vector has, what they are drawn from, and the size of the faces are
    the network's: 100, uniform in -1 to 1, and 64x64 RGB, for the package's own.

    Parameters
    ----------
    network
        A file of weights or a dict of them; the package's own faces if None.
    device, threads, precision, algorithm
        As for `facegen.load`.

    Raises
    ------
    FacegenError, ValueError, OSError
        As for `facegen.load`.

    Examples
    --------
    >>> generator = Generator()
    >>> generator.generate(range(16)).shape
    (16, 64, 64, 3)
    """

    def __call__(self, latents: Any) -> np.ndarray:
        """Faces of latent vectors.

        Parameters
        ----------
        latents
            (n, 100), or one (100,): real numbers, as the method of that name has them. Or an array
            (n, 100) of PyTorch, CuPy, JAX or another library, as for `Runner`, whose numbers nobody
            looks at.

        Returns
        -------
        (n, 64, 64, 3) float32, RGB, -1 to 1; of the same library, and on the same device.

        Raises
        ------
        FormatError
            Another shape, or NaN or infinity among the numbers.
        """
        return self.runner(self._checked(latents))

    @property
    def latent_size(self) -> int:
        """How many numbers a latent vector has."""
        return self._ends[0].channels

    @property
    def image_shape(self) -> Shape:
        """(height, width, channels) of a face; 1 channel is grey."""
        return self._ends[1]

    @property
    def prior(self) -> Prior:
        """What latent vectors are drawn from."""
        return self.network.prior or UNIFORM

    def latents(self, seeds: Iterable[int]) -> np.ndarray:
        """The latent vector of each seed, which is the same in any batch: (n, 100) float32.

        Raises
        ------
        FormatError
            A seed that is no integer, or below 0.
        """
        return self.prior.latents(seeds, self.latent_size)

    def generate(self, seeds: Iterable[int]) -> np.ndarray:
        """Faces of seeds: ``generator(generator.latents(seeds))``.

        Parameters
        ----------
        seeds
            Any integers from 0; one gives the same face in any batch.

        Returns
        -------
        (n, 64, 64, 3) float32, RGB, -1 to 1.

        Raises
        ------
        FormatError
            A seed is negative.
        """
        return self(self.latents(seeds))

    def images(self, latents: Any = None, *, seeds: Iterable[int] | None = None) -> np.ndarray:
        """The same faces as ``generator(latents)`` or ``generator.generate(seeds)``, as pixels.

        Returns
        -------
        (n, 64, 64, 3) uint8, RGB; where `latents` are on a GPU, there.

        Raises
        ------
        FormatError
            As for ``generator(latents)``.
        TypeError
            Neither or both are given.
        """
        if (latents is None) == (seeds is None):
            raise TypeError("images takes latents or seeds")
        if seeds is not None:
            latents = self.latents(seeds)
        pixels: np.ndarray = self.runner(self._checked(latents), as_pixels=True)
        return pixels

    def _checked(self, latents: Any) -> Any:
        return check_latents(latents, self.latent_size) if library_of(latents) is None else latents

    @cached_property
    def _ends(self) -> tuple[Shape, Shape]:
        graph = self.network.graph()
        return graph.inputs[0].shape, graph.outputs[0].shape


DCGAN = Network(
    name="dcgan",
    summary="faces from noise: 100 numbers -> 64x64 RGB",
    graph=graph,
    binary_layout=_binary_layout(),
    initial_weights=initial_weights,
    model=Generator,
    prior=UNIFORM,
)
DCGAN_128 = Network(
    name="dcgan128",
    summary="faces from noise: 100 numbers -> 128x128 RGB",
    graph=graph_of_128,
    binary_layout=None,
    initial_weights=initial_weights_of_128,
    model=Generator,
    prior=UNIFORM,
)
SIDES = (64, 128)  # that there are networks of
