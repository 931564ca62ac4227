"""Small graphs of steps that GPUs merge or split, and the kernels that each is there to test."""

from __future__ import annotations

from collections.abc import Callable

from facegen.nn import (
    Add,
    Affine,
    BatchNorm,
    Concat,
    Conv2d,
    ConvTranspose2d,
    Graph,
    InstanceNorm,
    LeakyReLU,
    Linear,
    MaxPool2d,
    ReLU,
    Shape,
    Softmax,
    Tanh,
)


def first_layer(g: Graph) -> None:
    """Few channels, and a pool that reads what they make."""
    x = g.input("x", Shape(53, 47, 3))
    x = g.add("conv", Conv2d(3, 96, 7, stride=2), x)
    x = g.add("relu", ReLU(), x)
    g.output(g.add("pool", MaxPool2d(3, stride=2, ceil_mode=True), x))


def padded_first_layer(g: Graph) -> None:
    """A pool whose last windows are not the convolution's last pixels; negative maxima."""
    x = g.input("x", Shape(64, 40, 3))
    x = g.add("conv", Conv2d(3, 64, 7, stride=2, padding=3), x)
    x = g.add("pool", MaxPool2d(3, stride=2), x)
    g.output(g.add("next", Conv2d(64, 32, 1), x))


def padded_pool(g: Graph) -> None:
    """As a residual network begins: the pool's first and last windows reach over the edges."""
    x = g.input("x", Shape(66, 43, 3))
    x = g.add("bn", BatchNorm(64), g.add("conv", Conv2d(3, 64, 7, stride=2, padding=3), x))
    g.output(g.add("pool", MaxPool2d(3, stride=2, padding=1), x))


def residual_blocks(g: Graph) -> None:
    """Maps that convolutions, additions and a pool read; large tiles that add."""
    x = g.input("x", Shape(40, 36, 64))
    x = g.add("relu", ReLU(), g.add("first", Conv2d(64, 128, 3, padding=1), x))
    for i in range(2):
        y = g.add(f"relu{i}", ReLU(), g.add(f"one{i}", Conv2d(128, 128, 3, padding=1), x))
        y = g.add(f"two{i}", Conv2d(128, 128, 3, padding=1), y)
        x = g.add(f"out{i}", ReLU(), g.add(f"add{i}", Add(), y, x))
    pooled = g.add("pool", MaxPool2d(2), x)
    g.output(g.add("wide", Conv2d(128, 256, 3, padding=1), pooled))


def long_linear(g: Graph) -> None:
    """More groups of columns, and stretches of their sums, than the table of taps has places."""
    x = g.input("x", Shape(1, 1, 2112))
    g.output(g.add("linear", Linear(2112, 8000), x))


def pools_of_two(g: Graph) -> None:
    """Pools that kernels take with the convolution: of few channels, and of a multiple of 32."""
    x = g.input("x", Shape(37, 42, 1))
    for i, (before, after, kernel) in enumerate(((1, 32, 5), (32, 64, 5), (64, 48, 3))):
        x = g.add(f"relu{i}", ReLU(), g.add(f"conv{i}", Conv2d(before, after, kernel), x))
        x = g.add(f"pool{i}", MaxPool2d(2), x)
    g.output(g.add("next", Conv2d(48, 32, 2), x))


def one_channel(g: Graph) -> None:
    """Scale and shift behind the activation."""
    x = g.input("x", Shape(33, 40, 1))
    x = g.add("conv", Conv2d(1, 64, 3, padding=1), x)
    x = g.add("bn", BatchNorm(64), g.add("relu", ReLU(), x))
    g.output(g.add("next", Conv2d(64, 64, 3, padding=1, stride=2), x))


def wide_steps(g: Graph) -> None:
    """Phases side by side, whose pixels start anywhere."""
    x = g.input("x", Shape(13, 11, 21))
    x = g.add("small", ConvTranspose2d(21, 21, 3, stride=2, bias=False), x)
    g.output(g.add("large", ConvTranspose2d(21, 21, 11, stride=4), x))


def wider_steps(g: Graph) -> None:
    """The same with more positions along a row than a tile has."""
    x = g.input("x", Shape(5, 66, 64))
    x = g.add("few", Conv2d(64, 21, 1), x)
    g.output(g.add("large", ConvTranspose2d(21, 21, 11, stride=4, bias=False), x))


def wide_steps_inside(g: Graph) -> None:
    """The same, with 24 floats a pixel, for a layer that reads them."""
    x = g.input("x", Shape(29, 30, 64))
    x = g.add("few", Conv2d(64, 21, 1), x)
    x = g.add("large", ConvTranspose2d(21, 21, 11, stride=4), x)
    g.output(g.add("softmax", Softmax(), x))


def fire(g: Graph) -> None:
    """Two convolutions of one map, side by side."""
    x = g.input("x", Shape(27, 19, 64))
    for i, (squeeze, expand) in enumerate(((16, 64), (32, 128), (48, 192))):
        s = g.add(f"s{i}", ReLU(), g.add(f"squeeze{i}", Conv2d(x.shape.channels, squeeze, 1), x))
        one = g.add(f"r{i}", ReLU(), g.add(f"one{i}", Conv2d(squeeze, expand, 1), s))
        three = g.add(f"q{i}", ReLU(), g.add(f"three{i}", Conv2d(squeeze, expand, 3, padding=1), s))
        x = g.add(f"concat{i}", Concat(), one, three)
    g.output(x)


def fire_of_wide_rows(g: Graph) -> None:
    """Tiles of one row; a pool of more pixels than the four warps make of such a row."""
    x = g.input("x", Shape(10, 60, 32))
    s = g.add("s", ReLU(), g.add("squeeze", Conv2d(32, 32, 1), x))
    one = g.add("r", ReLU(), g.add("one", Conv2d(32, 64, 1), s))
    three = g.add("q", ReLU(), g.add("three", Conv2d(32, 64, 3, padding=1), s))
    x = g.add("concat", Concat(), one, three)
    g.output(g.add("pool", MaxPool2d(3, stride=2), x))


def fires_and_pool(g: Graph) -> None:
    """Modules with the squeeze of the next, or the pool, behind them; two layers read the pool."""
    x = g.input("x", Shape(23, 55, 32))
    for i, (squeeze, expand) in enumerate(((16, 64), (16, 64), (32, 128))):
        s = g.add(f"s{i}", ReLU(), g.add(f"squeeze{i}", Conv2d(x.shape.channels, squeeze, 1), x))
        one = g.add(f"r{i}", ReLU(), g.add(f"one{i}", Conv2d(squeeze, expand, 1), s))
        three = g.add(f"q{i}", ReLU(), g.add(f"three{i}", Conv2d(squeeze, expand, 3, padding=1), s))
        x = g.add(f"concat{i}", Concat(), one, three)
    x = g.add("pool", MaxPool2d(3, stride=2, ceil_mode=True), x)
    score, following = g.add("score", Conv2d(256, 32, 1), x), g.add("next", Conv2d(256, 32, 1), x)
    g.output(g.add("sum", Add(), score, following))


def fires_without_activation(g: Graph) -> None:
    """Negative maxima, and windows that leave the last row and column out."""
    x = g.input("x", Shape(12, 34, 32))
    x = g.add("squeeze", Conv2d(32, 16, 1, bias=False), x)
    one = g.add("one", Conv2d(16, 64, 1, bias=False), x)
    three = g.add("three", Conv2d(16, 64, 3, padding=1, bias=False), x)
    x = g.add("squeezed", Conv2d(128, 32, 1, bias=False), g.add("concat", Concat(), one, three))
    one, three = (
        g.add("one2", Conv2d(32, 64, 1), x),
        g.add("three2", Conv2d(32, 64, 3, padding=1), x),
    )
    x = g.add("concat2", Concat(), one, three)
    g.output(g.add("pool", MaxPool2d(3, stride=2), x))


def softmax_head(g: Graph) -> None:
    """Channels that are no multiple of 8, and a product of a softmax."""
    x = g.input("x", Shape(9, 7, 64))
    x = g.add("conv", Conv2d(64, 313, 1), x)
    x = g.add("softmax", Softmax(), x)
    g.output(g.add("out", Conv2d(313, 2, 1, bias=False), x))


def u_net(g: Graph) -> None:
    """Norms of long sums that are split, which write in two places; maps of down to one pixel."""
    x = g.input("x", Shape(16, 16, 3))
    sizes, skips = (3, 64, 512, 512, 512), []
    for i, (before, after) in enumerate(zip(sizes, sizes[1:], strict=False)):
        if i:
            x = g.add(f"leaky{i}", LeakyReLU(0.2), x)
        x = g.add(f"conv{i}", Conv2d(before, after, 4, stride=2, padding=1), x)
        if i:
            x = g.add(f"norm{i}", InstanceNorm(after), x)
        skips.append(x)
    for i, after in enumerate((512, 512, 64)):
        if i:
            x = g.add(f"concat{i}", Concat(), x, skips[-1 - i])
        x = g.add(f"relu{i}", ReLU(), x)
        tconv = ConvTranspose2d(x.shape.channels, after, 4, stride=2, padding=1)
        x = g.add(f"up{i}", InstanceNorm(after), g.add(f"tconv{i}", tconv, x))
    g.output(x)


def large_norm(g: Graph) -> None:
    """A map of so many pixels that its norm is cut as small and large batches do it alike."""
    x = g.input("x", Shape(66, 65, 3))
    x = g.add("norm", InstanceNorm(24), g.add("conv", Conv2d(3, 24, 3, padding=1), x))
    g.output(g.add("next", Conv2d(24, 32, 3, padding=1, stride=2), g.add("relu", ReLU(), x)))


def last_layer(g: Graph) -> None:
    """128 pixels wide, 128 channels to 3."""
    x = g.input("x", Shape(6, 128, 128))
    x = g.add("tconv", ConvTranspose2d(128, 3, 4, stride=2, padding=1), x)
    g.output(g.add("tanh", Tanh(), x))


def scale_alone(g: Graph) -> None:
    """An epilogue with a shift or a scale alone, and a sum that small batches split."""
    x = g.input("x", Shape(8, 8, 512))
    x = g.add("relu1", ReLU(), g.add("conv1", Conv2d(512, 512, 3, padding=1), x))
    x = g.add("shift", Affine(1.0, 0.5), x)
    x = g.add("relu2", ReLU(), g.add("conv2", Conv2d(512, 64, 3, padding=1), x))
    g.output(g.add("scale", Affine(0.25, 0.0), x))


# Each graph, and the kernels that it is there to test on Hopper.
BUILDERS: dict[Callable[[Graph], None], tuple[str, ...]] = {
    first_layer: ("wgmma stem + max pool",),
    padded_first_layer: ("wgmma stem + max pool", "wgmma"),
    padded_pool: ("wgmma stem + max pool",),
    residual_blocks: ("wgmma", "max pool"),
    long_linear: ("wgmma",),
    pools_of_two: ("wgmma windows + max pool", "wgmma maps + max pool"),
    one_channel: ("wgmma patch", "wgmma"),
    wide_steps: ("wgmma patch", "wgmma rows"),
    wider_steps: ("wgmma patch",),
    wide_steps_inside: ("wgmma rows", "softmax"),
    fire: ("wgmma expand", "wgmma expand + 1x1", "wgmma pixels"),
    fire_of_wide_rows: ("wgmma expand", "max pool"),
    fires_and_pool: ("wgmma expand + 1x1", "wgmma expand + max pool", "wgmma pixels"),
    fires_without_activation: ("wgmma expand + 1x1", "wgmma expand + max pool"),
    softmax_head: ("softmax and fma",),
    u_net: ("wgmma patch", "wgmma", "instance norm, one pass", "pointwise"),
    large_norm: ("instance norm, one pass",),
    last_layer: ("wgmma scatter",),
    scale_alone: ("wgmma",),
}
