"""Networks that the kernels were not written for, as their papers have them.

They show what an engineer's own network gets: large maps and large linear layers (VGG-16), skips
into concatenations (a plain U-Net), concatenations throughout (DenseNet-121), bottlenecks
(ResNet-50), depthwise convolutions (MobileNetV2), another's generator (PyTorch's tutorial DCGAN),
channels that become pixels (ESPCN). ResNet-18 is one of the package's own.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from facegen.lab.convnets import CONVNETS, vgg16
from facegen.networks import resnet
from facegen.networks.families import dcgan_tutorial as tutorial
from facegen.networks.families.resnet import NAMED
from facegen.nn import (
    Add,
    AvgPool2d,
    BatchNorm,
    Clip,
    Concat,
    Conv2d,
    ConvTranspose2d,
    DepthToSpace,
    GlobalAvgPool2d,
    Graph,
    Linear,
    MaxPool2d,
    ReLU,
    Shape,
    Tanh,
)
from facegen.nn.graph import Tensor


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


def mobilenet_v2() -> Graph:
    """Sandler et al. 2018, table 2: widths times 1, 224x224 to 1,000 scores."""
    graph = Graph("mobilenet_v2")

    def conv(
        name: str, x: Tensor, channels: int, kernel: int, stride: int = 1, groups: int = 1
    ) -> Tensor:
        window = kernel, stride, kernel // 2
        layer = Conv2d(x.shape.channels, channels, *window, bias=False, groups=groups)
        return graph.add(f"{name}.bn", BatchNorm(channels), graph.add(f"{name}.conv", layer, x))

    def relu6(name: str, x: Tensor) -> Tensor:
        return graph.add(f"{name}.relu6", Clip(0, 6), x)

    x = relu6("stem", conv("stem", graph.input("image", Shape(224, 224, 3)), 32, 3, stride=2))
    blocks = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1),
              (6, 160, 3, 2), (6, 320, 1, 1))  # fmt: skip
    for stage, (expansion, channels, count, first_stride) in enumerate(blocks):
        for i in range(count):
            name, stride = f"block{stage}_{i}", first_stride if i == 0 else 1
            y, wide = x, expansion * x.shape.channels
            if expansion > 1:
                y = relu6(f"{name}.expand", conv(f"{name}.expand", y, wide, 1))
            y = conv(f"{name}.depthwise", y, wide, 3, stride=stride, groups=wide)
            y = conv(f"{name}.project", relu6(f"{name}.depthwise", y), channels, 1)
            x = graph.add(f"{name}.add", Add(), y, x) if y.shape == x.shape else y
    x = graph.add("mean", GlobalAvgPool2d(), relu6("last", conv("last", x, 1280, 1)))
    graph.output(graph.add("scores", Linear(1280, 1000), x))
    return graph


def resnet50() -> Graph:
    """He et al. 2015, table 1: bottlenecks, 224x224 to 1,000 classes."""
    return resnet.graph("resnet50", NAMED["resnet50"])


def dcgan_tutorial() -> Graph:
    """PyTorch's tutorial: transposed convolutions 4x4, 100 numbers to 64x64x3."""
    return tutorial.graph(tutorial.Sizes((100, 512, 256, 128, 64, 3)))


def densenet121() -> Graph:
    """Huang et al. 2017, table 1: growth by 32 channels, 224x224 to 1,000 scores."""
    graph, growth = Graph("densenet121"), 32

    def activated(name: str, x: Tensor) -> Tensor:
        return graph.add(f"{name}.relu", ReLU(), graph.add(name, BatchNorm(x.shape.channels), x))

    def conv(name: str, x: Tensor, channels: int, kernel: int, stride: int = 1) -> Tensor:
        layer = Conv2d(x.shape.channels, channels, kernel, stride, kernel // 2, bias=False)
        return graph.add(name, layer, x)

    x = conv("conv0", graph.input("image", Shape(224, 224, 3)), 64, 7, 2)
    x = graph.add("pool0", MaxPool2d(3, 2, padding=1), activated("norm0", x))
    for block, count in enumerate((6, 12, 24, 16), 1):
        for i in range(1, count + 1):
            name = f"block{block}.layer{i}"
            y = conv(f"{name}.conv1", activated(f"{name}.norm1", x), 4 * growth, 1)
            y = conv(f"{name}.conv2", activated(f"{name}.norm2", y), growth, 3)
            x = graph.add(f"{name}.concat", Concat(), x, y)
        if block < 4:
            name = f"transition{block}"
            x = conv(f"{name}.conv", activated(f"{name}.norm", x), x.shape.channels // 2, 1)
            x = graph.add(f"{name}.pool", AvgPool2d(2), x)
    x = graph.add("mean", GlobalAvgPool2d(), activated("norm5", x))
    graph.output(graph.add("scores", Linear(x.shape.channels, 1000), x))
    return graph


def espcn() -> Graph:
    """Shi et al. 2016, section 3.3, by 3 and of RGB: 224x224 to 672x672."""
    graph, factor = Graph("espcn"), 3
    x = graph.input("image", Shape(224, 224, 3))
    for i, (channels, kernel) in enumerate(((64, 5), (32, 3)), 1):
        layer = Conv2d(x.shape.channels, channels, kernel, padding=kernel // 2)
        x = graph.add(f"tanh{i}", Tanh(), graph.add(f"conv{i}", layer, x))
    x = graph.add("conv3", Conv2d(32, 3 * factor**2, 3, padding=1), x)
    graph.output(graph.add("shuffle", DepthToSpace(factor, depth_first=False), x))
    return graph


OTHERS: dict[str, Callable[[], Graph]] = {
    "vgg16": vgg16,
    "unet": unet,
    "mobilenet_v2": mobilenet_v2,
    "resnet50": resnet50,
    "dcgan_tutorial": dcgan_tutorial,
    "densenet121": densenet121,
    "espcn": espcn,
    **CONVNETS,
}


def initial_weights(graph: Graph, seed: int) -> dict[str, np.ndarray]:
    """Seeded weights whose values stay of one order from layer to layer."""
    if graph.name == "resnet50":
        return resnet.seeded(graph, seed)
    return _he(graph, seed)


def _he(graph: Graph, seed: int) -> dict[str, np.ndarray]:
    """He's of convolutions and linear layers; batch norms that leave about what they get."""
    generator = np.random.default_rng(seed)

    def parameter(name: str, shape: tuple[int, ...]) -> np.ndarray:
        if len(shape) == 1:
            return np.full(shape, name.endswith((".gamma", ".var")), np.float32)
        scale = np.float32(math.sqrt(2 / math.prod(shape[1:])))
        return scale * generator.standard_normal(shape, np.float32)

    return {name: parameter(name, shape) for name, shape in graph.parameters.items()}
