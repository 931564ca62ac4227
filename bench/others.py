"""Networks that the kernels were not written for, as their papers have them.

They show what an engineer's own network gets: residual additions and a padded stem (ResNet-18),
large maps and large linear layers (VGG-16), skips into concatenations (a plain U-Net).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from facegen.nn import (
    Add,
    BatchNorm,
    Concat,
    Conv2d,
    ConvTranspose2d,
    GlobalAvgPool2d,
    Graph,
    Linear,
    MaxPool2d,
    ReLU,
    Reshape,
    Shape,
)
from facegen.nn.graph import Tensor


def resnet18() -> Graph:
    """He et al. 2015, table 1: 224x224 to 1,000 scores."""
    graph = Graph("resnet18")

    def convolution(name: str, x: Tensor, channels: int, kernel: int, stride: int = 1) -> Tensor:
        layer = Conv2d(x.shape.channels, channels, kernel, stride, kernel // 2, bias=False)
        return graph.add(f"{name}.bn", BatchNorm(channels), graph.add(name, layer, x))

    x = graph.input("image", Shape(224, 224, 3))
    x = graph.add("relu1", ReLU(), convolution("conv1", x, 64, 7, 2))
    x = graph.add("pool1", MaxPool2d(3, stride=2, padding=1), x)
    for stage, channels in enumerate((64, 128, 256, 512), 1):
        for block in (0, 1):
            name, stride = f"layer{stage}.{block}", 2 if stage > 1 and block == 0 else 1
            y = graph.add(f"{name}.relu1", ReLU(), convolution(f"{name}.1", x, channels, 3, stride))
            y = convolution(f"{name}.2", y, channels, 3)
            if stride > 1:
                x = convolution(f"{name}.down", x, channels, 1, stride)
            x = graph.add(f"{name}.relu2", ReLU(), graph.add(f"{name}.add", Add(), y, x))
    graph.output(graph.add("fc", Linear(512, 1000), graph.add("mean", GlobalAvgPool2d(), x)))
    return graph


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


OTHERS: dict[str, Callable[[], Graph]] = {"resnet18": resnet18, "vgg16": vgg16, "unet": unet}


def initial_weights(graph: Graph, seed: int) -> dict[str, np.ndarray]:
    """He's of convolutions and linear layers; norms that leave their input as it is."""
    generator = np.random.default_rng(seed)

    def parameter(name: str, shape: tuple[int, ...]) -> np.ndarray:
        if name.endswith((".gamma", ".var")):
            return np.ones(shape, np.float32)
        if len(shape) == 1:
            return np.zeros(shape, np.float32)
        scale = np.float32(math.sqrt(2 / math.prod(shape[1:])))
        return scale * generator.standard_normal(shape, np.float32)

    return {name: parameter(name, shape) for name, shape in graph.parameters.items()}
