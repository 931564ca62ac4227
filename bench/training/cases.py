"""What is trained: a graph, its loss and a batch; or two networks that play against each other.

A case is named by its kind, its width where the kind has one, and the images of a batch:
"lenet-128", "dcgan64-512", "discriminator-64" (of width 64).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from facegen import nn, train
from facegen.lab.convnets import CONVNETS
from facegen.networks import lenet, segmentation
from facegen.networks.pix2pix import IMAGE
from facegen.nn import Graph, Shape
from facegen.train.pix2pix.players import generator_graph

WIDTH = 64
RATE, BETAS = 2e-4, (0.5, 0.999)  # of Adam
SGD_RATE = 1e-4  # little enough for any of the networks to stay finite


@dataclass(frozen=True)
class Case:
    """One network: images x (n, h, w, c) float32 and what its loss takes."""

    graph: Graph
    loss: str
    x: np.ndarray
    y: np.ndarray
    frozen: tuple[str, ...] = ()  # names of layers
    optimizer: str = "adam"

    @property
    def images(self) -> int:
        return len(self.x)


@dataclass(frozen=True)
class Gan:
    """A generator and a discriminator: a step changes both.

    The generator learns through the discriminator as it is; the discriminator then learns from one
    batch of the real images and of those that it has just judged, which are made once.
    """

    generator: Graph
    discriminator: Graph
    z: np.ndarray  # (n, 1, 1, 100) float32
    real: np.ndarray  # (n, 64, 64, 3) float32

    @property
    def images(self) -> int:
        return len(self.real)

    @property
    def real_or_made(self) -> np.ndarray:
        """(2n,) float32: what the discriminator should say of the one and the other."""
        return np.repeat(np.array([1.0, 0.0], np.float32), self.images)


def generator(width: int = WIDTH) -> Graph:
    """DCGAN's as in PyTorch's tutorial: (1, 1, 100) -> (64, 64, 3)."""
    g = Graph("generator")
    x = g.input("z", Shape(1, 1, 100))
    channels = (100, 8 * width, 4 * width, 2 * width, width, 3)
    for i in range(5):
        window: dict[str, int] = {} if i == 0 else {"stride": 2, "padding": 1}
        tconv = nn.ConvTranspose2d(channels[i], channels[i + 1], 4, bias=False, **window)
        x = g.add(f"tconv{i}", tconv, x)
        if i < 4:
            x = g.add(f"g.norm{i}", nn.BatchNorm(channels[i + 1]), x)
            x = g.add(f"relu{i}", nn.ReLU(), x)
    g.output(g.add("tanh", nn.Tanh(), x))
    return g


def discriminator(width: int = WIDTH) -> Graph:
    """DCGAN's as in PyTorch's tutorial: (64, 64, 3) -> (1, 1, 1)."""
    g = Graph("discriminator")
    x = g.input("image", Shape(64, 64, 3))
    channels = (3, width, 2 * width, 4 * width, 8 * width)
    for i in range(4):
        conv = nn.Conv2d(channels[i], channels[i + 1], 4, stride=2, padding=1, bias=False)
        x = g.add(f"conv{i}", conv, x)
        if i:
            x = g.add(f"norm{i}", nn.BatchNorm(channels[i + 1]), x)
        x = g.add(f"leaky{i}", nn.LeakyReLU(0.2), x)
    g.output(g.add("score", nn.Conv2d(8 * width, 1, 4, bias=False), x))
    return g


def layers(graph: Graph) -> tuple[str, ...]:
    """The names of all layers."""
    return tuple(node.name for node in graph.nodes if node.layer is not None)


def _random(*shape: int) -> np.ndarray:
    """Numbers from -1 to 1, float32."""
    return np.random.default_rng(0).random(shape, np.float32) * 2 - 1


def _labels(classes: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(1).integers(0, classes, shape)


def _lenet(n: int, width: int) -> Case:
    return Case(lenet.graph(), "cross_entropy", _random(n, *lenet.IMAGE), _labels(10, n))


def _discriminator(n: int, width: int) -> Case:
    scores = np.ones((n, 1, 1, 1), np.float32)
    return Case(discriminator(width), "binary_cross_entropy", _random(n, 64, 64, 3), scores)


def _generator(n: int, width: int) -> Case:
    """Through a discriminator that stays as it is."""
    frozen, scores = discriminator(width), np.ones((n, 1, 1, 1), np.float32)
    graph = train.join(generator(width), frozen)
    z = np.random.default_rng(0).standard_normal((n, 1, 1, 100), np.float32)
    return Case(graph, "binary_cross_entropy", z, scores, layers(frozen))


def _dcgan(n: int, width: int) -> Gan:
    z = np.random.default_rng(0).standard_normal((n, 1, 1, 100), np.float32)
    return Gan(generator(width), discriminator(width), z, _random(n, 64, 64, 3))


def _segmentation(n: int, width: int) -> Case:
    graph = segmentation.graph()
    height, wide, classes = graph.outputs[0].shape
    x = _random(n, *graph.inputs[0].shape)
    return Case(graph, "cross_entropy", x, _labels(classes, n, height, wide))


def _pix2pix(n: int, width: int) -> Case:
    """The generator by itself, L1."""
    images = _random(2, n, *IMAGE)
    return Case(generator_graph(width, IMAGE.height), "l1", *images)


def _convnet(name: str) -> Callable[[int, int], Case]:
    def make(n: int, width: int) -> Case:
        graph = CONVNETS[name]()
        x, y = _random(n, *graph.inputs[0].shape), _labels(1000, n)
        return Case(graph, "cross_entropy", x, y, optimizer="sgd")

    return make


KINDS: dict[str, Callable[[int, int], Case | Gan]] = {
    "lenet": _lenet,
    "discriminator": _discriminator,
    "generator": _generator,
    "dcgan": _dcgan,
    "segmentation": _segmentation,
    "pix2pix": _pix2pix,
    **{name: _convnet(name) for name in CONVNETS},
}


def case(name: str) -> Case | Gan:
    """The case of that name; ValueError where there is none."""
    found = re.fullmatch(rf"({'|'.join(KINDS)})(\d*)-([1-9]\d*)", name)
    if found is None:
        raise ValueError(
            f"no case named {name!r}: expected one of {', '.join(KINDS)}, its width, -, and "
            "the images of a batch, such as dcgan32-256"
        )
    return KINDS[found[1]](int(found[3]), int(found[2] or WIDTH))
