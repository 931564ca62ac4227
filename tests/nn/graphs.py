"""Small graphs in the manner of the networks, and random ones, to lower."""

from __future__ import annotations

import numpy as np

from facegen.nn import (
    ELU,
    GELU,
    Add,
    Affine,
    AvgPool2d,
    BatchNorm,
    Channels,
    ChannelShuffle,
    Clip,
    Concat,
    Conv2d,
    ConvTranspose2d,
    DepthToSpace,
    GlobalAvgPool2d,
    Graph,
    GroupNorm,
    HardSwish,
    InstanceNorm,
    LayerNorm,
    LeakyReLU,
    Linear,
    Maximum,
    MaxPool2d,
    Minimum,
    Mish,
    Mul,
    Pad2d,
    PReLU,
    ReLU,
    Reshape,
    Shape,
    Sigmoid,
    SiLU,
    Slice,
    Softmax,
    Softplus,
    Sub,
    Tanh,
    Upsample,
)

ACTIVATIONS = (
    Clip(-0.5, 0.5),
    ELU(),
    GELU(),
    HardSwish(),
    Mish(),
    Sigmoid(),
    SiLU(),
    Softplus(),
)


def dcgan_like() -> Graph:
    graph = Graph("dcgan-like")
    x = graph.input("latent", Shape(1, 1, 10))
    x = graph.add("proj", Linear(10, 128), x)
    x = graph.add("proj.reshape", Reshape(Shape(4, 4, 8)), x)
    x = graph.add("bn0", BatchNorm(8), x)
    x = graph.add("relu0", ReLU(), x)
    x = graph.add("tconv1", ConvTranspose2d(8, 6, 5, stride=2, padding=((1, 2), (1, 2))), x)
    x = graph.add("bn1", BatchNorm(6), x)
    x = graph.add("relu1", ReLU(), x)
    x = graph.add("tconv2", ConvTranspose2d(6, 3, 5, stride=2, padding=((1, 2), (1, 2))), x)
    x = graph.add("tanh", Tanh(), x)
    graph.output(x)
    return graph


def unet_like() -> Graph:
    """pix2pix's structure: every encoder is read by the next one and by a decoder."""
    graph = Graph("unet-like")
    x = graph.input("image", Shape(16, 16, 3))
    channels = [4, 6, 8, 8]
    encoders = []
    x = graph.add("encoder_1", Conv2d(3, channels[0], 4, stride=2, padding=1), x)
    encoders.append(x)
    for i in range(2, 5):
        x = graph.add(f"leaky_{i}", LeakyReLU(0.2), x)
        convolution = Conv2d(x.shape.channels, channels[i - 1], 4, stride=2, padding=1)
        x = graph.add(f"encoder_{i}", convolution, x)
        x = graph.add(f"encoder_{i}.norm", InstanceNorm(channels[i - 1]), x)
        encoders.append(x)
    for i, out in zip((4, 3, 2, 1), (8, 6, 4, 3), strict=True):
        if i < 4:
            x = graph.add(f"concat_{i}", Concat(), x, encoders[i - 1])
        x = graph.add(f"relu_{i}", ReLU(), x)
        deconvolution = ConvTranspose2d(x.shape.channels, out, 4, stride=2, padding=1)
        x = graph.add(f"decoder_{i}", deconvolution, x)
        if i > 1:
            x = graph.add(f"decoder_{i}.norm", InstanceNorm(out), x)
    graph.output(graph.add("tanh", Tanh(), x))
    return graph


def fire_like() -> Graph:
    """SqueezeNet's fire modules and a skip connection of the FCN decoder."""
    graph = Graph("fire-like")
    x = graph.input("image", Shape(13, 13, 3))
    x = graph.add("conv1", Conv2d(3, 8, 3, stride=2), x)
    x = graph.add("conv1.relu", ReLU(), x)
    pool = x = graph.add("pool1", MaxPool2d(3, stride=2, ceil_mode=True), x)
    for fire in ("fire2", "fire3"):
        squeeze = graph.add(f"{fire}.squeeze", Conv2d(x.shape.channels, 4, 1), x)
        squeeze = graph.add(f"{fire}.squeeze.relu", ReLU(), squeeze)
        left = graph.add(f"{fire}.expand1", Conv2d(4, 6, 1), squeeze)
        left = graph.add(f"{fire}.expand1.relu", ReLU(), left)
        right = graph.add(f"{fire}.expand3", Conv2d(4, 6, 3, padding=1), squeeze)
        right = graph.add(f"{fire}.expand3.relu", ReLU(), right)
        x = graph.add(f"{fire}.concat", Concat(), left, right)
    score = graph.add("score", Conv2d(12, 5, 1), x)
    skip = graph.add("score_pool", Conv2d(8, 5, 1), pool)
    x = graph.add("sum", Add(), score, skip)
    x = graph.add("up", ConvTranspose2d(5, 5, 3, stride=2, bias=False), x)
    graph.output(x)
    return graph


def eccv16_like() -> Graph:
    """The colorizer: batch norm after ReLU, dilation, softmax, bilinear upsampling."""
    graph = Graph("eccv16-like")
    x = graph.input("lightness", Shape(8, 8, 1))
    x = graph.add("normalise", Affine(1 / 100, -0.5), x)
    x = graph.add("conv1", Conv2d(1, 4, 3, padding=1), x)
    x = graph.add("relu1", ReLU(), x)
    x = graph.add("conv2", Conv2d(4, 6, 3, stride=2, padding=1), x)
    x = graph.add("relu2", ReLU(), x)
    x = graph.add("bn2", BatchNorm(6), x)
    x = graph.add("conv3", Conv2d(6, 6, 3, padding=2, dilation=2), x)
    x = graph.add("relu3", ReLU(), x)
    x = graph.add("bn3", BatchNorm(6), x)
    x = graph.add("tconv4", ConvTranspose2d(6, 5, 4, stride=2, padding=1), x)
    x = graph.add("relu4", ReLU(), x)
    x = graph.add("conv5", Conv2d(5, 7, 1), x)
    x = graph.add("softmax", Softmax(), x)
    x = graph.add("ab", Conv2d(7, 2, 1, bias=False), x)
    x = graph.add("upsample", Upsample(scale=4), x)
    x = graph.add("unnormalise", Affine(110), x)
    graph.output(x)
    return graph


KINDS = "cccttlbbBBnrrreehpkkkaaaaauffRRRRsgvvvPmmmmqddG"
ALL_KINDS = KINDS + "NLSSCCOAD"  # those too that ONNX files are not read with


def random_graph(seed: int, layers: int = 12, kinds: str = KINDS) -> Graph:
    """Any layer on any earlier value: values with several readers, several outputs, reshapes."""
    rng = np.random.default_rng(seed)
    graph = Graph(f"random-{seed}")
    sizes = [Shape(4, 4, 4), Shape(4, 4, 2), Shape(1, 1, 16), Shape(2, 2, 4)]
    values = [graph.input(f"in{i}", sizes[rng.integers(4)]) for i in range(rng.integers(1, 3))]

    def pick(same_as=None):
        """Mostly one of the latest values, so that chains grow."""
        fitting = [v for v in values if same_as is None or v.shape[:2] == same_as.shape[:2]]
        return fitting[-1 - min(int(rng.exponential(0.7)), len(fitting) - 1)]

    for i in range(layers):
        x = pick()
        height, width, channels = x.shape
        out = int(rng.choice([2, 4]))
        kind = rng.choice(list(kinds))
        inputs = [x]
        match kind:
            case "c":
                layer = Conv2d(channels, out, 3, padding=1, bias=bool(rng.integers(2)))
            case "t":
                size = {"stride": 1, "padding": 1} if height > 8 else {"stride": 2, "padding": 0}
                layer = ConvTranspose2d(channels, out, 3, **size)
            case "l":
                layer = Linear(channels, int(rng.choice([4, 16])))
            case "b" | "B":
                layer = BatchNorm(channels)
            case "n":
                layer = InstanceNorm(channels)
            case "r":
                layer = ReLU()
            case "e":
                layer = LeakyReLU(0.2)
            case "h":
                layer = Tanh()
            case "v":
                layer = ACTIVATIONS[rng.integers(len(ACTIVATIONS))]
            case "P":
                layer = PReLU(channels)
            case "m":  # the partner may spread, or be spread over
                sizes = [x.shape, Shape(1, 1, channels), Shape(height, width, 1)]
                partners = [v for v in values if v.shape in sizes]
                inputs = [x, partners[rng.integers(len(partners))]]
                rng.shuffle(inputs)
                layer = [Mul(), Sub(), Maximum(), Minimum()][rng.integers(4)]
            case "d":
                layer = Conv2d(channels, channels, 3, padding=1, groups=channels)
            case "G":
                half = 2 - channels % 2
                layer = Conv2d(channels, 2 * out, 3, padding=1, groups=half)
            case "N":
                layer = GroupNorm(2 - channels % 2, channels)
            case "L":
                layer = LayerNorm(channels)
            case "S":
                layer = ChannelShuffle(2 - channels % 2)
            case "C":
                first = int(rng.integers(channels))
                layer = Channels(first, int(rng.integers(1, channels - first + 1)))
            case "O":
                layer = Pad2d(1, ["zeros", "edge"][rng.integers(2)])
            case "A":
                layer = AvgPool2d(3, stride=1, padding=1)
            case "D":
                layer = Slice((height - 1, 1, 1))
                if channels % 4 == 0:
                    layer = DepthToSpace(2, depth_first=width % 2 == 0)
            case "q":
                layer = Conv2d(channels, 1, 1)  # whose map spreads over channels
            case "s":
                layer = Softmax()
            case "g":
                layer = GlobalAvgPool2d()
            case "p":
                layer = MaxPool2d(2, stride=1, padding=1)
            case "k":
                inputs = [x, *(pick(same_as=x) for _ in range(rng.integers(0, 3)))]
                layer = Concat()
            case "a":
                partners = [v for v in values if v.shape == x.shape]
                inputs = [x, partners[rng.integers(len(partners))]]
                rng.shuffle(inputs)
                layer = Add()
            case "u":
                # Not of one value: the variance of a constant map is its rounding, which a norm
                # would show at full size.
                layer = Upsample(size=(4, 4) if height * width > 1 else (1, 1))
            case "f":
                layer = Affine(float(rng.choice([1.0, 0.5])), float(rng.choice([0.0, -0.25])))
            case "R":
                options = [
                    Shape(1, 1, x.shape.floats),
                    Shape(width, height, channels),
                    Shape(1, height * width, channels),
                ]
                if channels % 2 == 0:
                    options.append(Shape(height, width * 2, channels // 2))
                layer = Reshape(options[rng.integers(len(options))])
        if height * width > 400 and kind in "tkOD":
            continue
        values.append(graph.add(f"{kind}{i}", layer, *inputs))
    for x in values[len(graph.inputs) :][-int(rng.integers(1, 4)) :] or values:
        graph.output(x)
    if rng.integers(4) == 0:
        graph.output(pick())
    return graph
