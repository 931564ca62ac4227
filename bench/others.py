"""Networks that the kernels were not written for, as their papers have them.

They show what an engineer's own network gets: large maps and large linear layers (VGG-16), skips
into concatenations (a plain U-Net). A third, ResNet-18, is one of the package's own.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from facegen.nn import (
    Concat,
    Conv2d,
    ConvTranspose2d,
    Graph,
    Linear,
    MaxPool2d,
    ReLU,
    Reshape,
    Shape,
)
from facegen.nn.graph import Tensor


def vgg16() -> Graph:
    """Simonyan and Zisserman 2014, configuration D."""
    graph = Graph("vgg16")
    x = graph.input("image", Shape(224, 224, 3))
    for stage, (channels, count) in enumerate(((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)), 1):
        for i in range(1, count + 1):
            layer = Conv2d(x.shape.channels, channels, 3, padding=1)
            x = graph.add(f"conv{stage}_{i}", layer, x)
            x = graph.add(f"relu{stage}_{i}", ReLU(), x)
        x = graph.add(f"pool{stage}", MaxPool2d(2), x)
    x = graph.add("flat", Reshape(Shape(1, 1, x.shape.floats)), x)
    for i in (6, 7):
        x = graph.add(f"relu{i}", ReLU(), graph.add(f"fc{i}", Linear(x.shape.channels, 4096), x))
    graph.output(graph.add("fc8", Linear(4096, 1000), x))
    return graph


def unet() -> Graph:
    """Ronneberger et al. 2015, with padding: 512x512 to 2 classes."""
    graph = Graph("unet")

    def two(name: str, x: Tensor, channels: int) -> Tensor:
        for i in (1, 2):
            layer = Conv2d(x.shape.channels, channels, 3, padding=1)
            x = graph.add(f"{name}.relu{i}", ReLU(), graph.add(f"{name}.conv{i}", layer, x))
        return x

    x = graph.input("image", Shape(512, 512, 3))
    skips: list[Tensor] = []
    for i, channels in enumerate((64, 128, 256, 512)):
        skips.append(two(f"down{i}", x, channels))
        x = graph.add(f"pool{i}", MaxPool2d(2), skips[-1])
    x = two("middle", x, 1024)
    for i in (3, 2, 1, 0):
        channels = skips[i].shape.channels
        x = graph.add(f"up{i}", ConvTranspose2d(2 * channels, channels, 2, stride=2), x)
        x = two(f"join{i}", graph.add(f"concat{i}", Concat(), skips[i], x), channels)
    graph.output(graph.add("classes", Conv2d(64, 2, 1), x))
    return graph


OTHERS: dict[str, Callable[[], Graph]] = {"vgg16": vgg16, "unet": unet}


def initial_weights(graph: Graph, seed: int) -> dict[str, np.ndarray]:
    """He's of convolutions and linear layers."""
    generator = np.random.default_rng(seed)

    def parameter(name: str, shape: tuple[int, ...]) -> np.ndarray:
        if len(shape) == 1:
            return np.zeros(shape, np.float32)
        scale = np.float32(math.sqrt(2 / math.prod(shape[1:])))
        return scale * generator.standard_normal(shape, np.float32)

    return {name: parameter(name, shape) for name, shape in graph.parameters.items()}
