"""Small graphs, one for each rule or how rules meet, with a loss and a batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from facegen import nn
from facegen.nn import Shape
from facegen.nn.grad import L1, L2, Loss, Losses, RelativisticPairs, SoftCrossEntropy
from facegen.nn.grad.losses import find_loss


class Case(NamedTuple):
    graph: nn.Graph
    loss: Losses
    x: list[np.ndarray]
    y: list[np.ndarray]  # of the losses that take one
    options: dict


Build = Callable[[nn.Graph, nn.Tensor], nn.Tensor]


def case(
    shape: tuple[int, int, int],
    build: Build,
    loss: Losses = "l2",
    images: int = 3,
    seed: int = 0,
    **options,
) -> Case:
    """A graph of one input; targets are drawn for its losses.

    The graph's outputs are what `build` gives, or the values that have a loss.
    """
    graph = nn.Graph("case")
    y = build(graph, graph.input("x", Shape(*shape)))
    shapes = {node.name: node.shape for node in graph.nodes}
    losses = loss if isinstance(loss, dict) else {y.name: loss}
    random = np.random.default_rng(seed)
    given = random.standard_normal((images, *shape)).astype(np.float32)
    targets = []
    for name, each in losses.items():
        graph.output(nn.Tensor(name, shapes[name]))
        kind = find_loss(each)
        if kind.target != "none":
            targets.append(_target(kind, random, (images, *shapes[name])))
    return Case(graph, loss, [given], targets, options)


def _target(loss: Loss, random: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    if loss.target == "labels":
        first = -1 if shape[1] > 1 else 0
        return random.integers(first, shape[3], (*shape[:3], 1)).astype(np.int32)
    if loss.kind == "binary_cross_entropy" or loss.target == "shares":
        return random.random(shape).astype(np.float32)
    return random.standard_normal(shape).astype(np.float32)


def chain(*layers: nn.Layer) -> Build:
    def build(graph: nn.Graph, x: nn.Tensor) -> nn.Tensor:
        for i, layer in enumerate(layers):
            x = graph.add(f"{type(layer).__name__}{i}", layer, x)
        return x

    return build


def _residual(g: nn.Graph, x: nn.Tensor) -> nn.Tensor:
    a = g.add("a", nn.Conv2d(3, 5, 3, padding=1), x)
    b = g.add("b", nn.Conv2d(5, 5, 3, padding=1), a)
    y = g.add("relu", nn.ReLU(), g.add("add", nn.Add(), b, a))
    return g.add("c", nn.Conv2d(5, 2, 1), y)


def _concat(g: nn.Graph, x: nn.Tensor) -> nn.Tensor:
    a = g.add("a", nn.Conv2d(3, 4, 1), x)
    b = g.add("b", nn.Conv2d(4, 17, 3, padding=1), a)
    y = g.add("concat", nn.Concat(), a, b, a)
    return g.add("c", nn.Conv2d(25, 3, 1), g.add("leaky", nn.LeakyReLU(0.1), y))


def _pooled_and_not(g: nn.Graph, x: nn.Tensor) -> nn.Tensor:
    a = g.add("relu", nn.ReLU(), g.add("a", nn.Conv2d(3, 8, 1), x))
    pools = [g.add(f"pool{size}", nn.MaxPool2d(size, 2, padding=size // 3), a) for size in (2, 3)]
    halves = g.add("b", nn.Conv2d(8, 8, 2, stride=2), a)
    return g.add("c", nn.Conv2d(24, 2, 1), g.add("concat", nn.Concat(), halves, *pools))


def _concat_fours(g: nn.Graph, x: nn.Tensor) -> nn.Tensor:
    """Copies of four numbers at a time, and what is left of a map by a slice of it."""
    a = g.add("a", nn.Conv2d(3, 8, 1), x)
    b = g.add("b", nn.Conv2d(8, 12, 3, padding=1), a)
    part = g.add("part", nn.Channels(4, 12), g.add("concat", nn.Concat(), a, b, a))
    sums = g.add("add", nn.Add(), g.add("affine", nn.Affine(2.0, 0.5), part), b)
    return g.add("c", nn.Conv2d(12, 2, 1), sums)


def _reshaped_twice(g: nn.Graph, x: nn.Tensor) -> nn.Tensor:
    a = g.add("a", nn.Conv2d(3, 4, 1), x)
    flat = g.add("flat", nn.Reshape(Shape(1, 1, a.shape.floats)), a)
    b = g.add("b", nn.Linear(flat.shape.channels, a.shape.floats), flat)
    back = g.add("back", nn.Reshape(a.shape), b)
    return g.add("add", nn.Add(), back, a)


def _quotient(g: nn.Graph, x: nn.Tensor) -> nn.Tensor:
    a = g.add("a", nn.Softplus(), g.add("ca", nn.Conv2d(3, 5, 1), x))
    b = g.add("b", nn.Affine(1.0, 0.5), g.add("abs", nn.Abs(), g.add("cb", Conv(3, 5, 1), x)))
    y = g.add("quotient", nn.Div(), g.add("root", nn.Sqrt(), a), b)
    return g.add("difference", nn.Sub(), g.add("log", nn.Log(), b), y)


def _gated(g: nn.Graph, x: nn.Tensor) -> nn.Tensor:
    a = g.add("a", nn.Conv2d(3, 18, 1), x)
    gate = g.add("squeeze", nn.GlobalAvgPool2d(), a)
    gate = g.add("excite", nn.HardSigmoid(), g.add("b", nn.Conv2d(18, 18, 1), gate))
    y = g.add("scaled", nn.Mul(), a, gate)
    mask = g.add("mask", nn.Sigmoid(), g.add("c", nn.Conv2d(18, 1, 1), y))
    return g.add("masked", nn.Mul(), mask, y)


def _products(g: nn.Graph, x: nn.Tensor) -> nn.Tensor:
    a = g.add("a", nn.Conv2d(3, 5, 1), x)
    b = g.add("b", nn.Conv2d(3, 5, 1), x)
    return g.add("cube", nn.Mul(), g.add("product", nn.Mul(), a, b), a)


def _rearranged(g: nn.Graph, x: nn.Tensor) -> nn.Tensor:
    y = g.add("a", nn.Conv2d(3, 8, 1), x)
    y = g.add("larger", nn.DepthToSpace(2), y)
    y = g.add("b", nn.Conv2d(2, 2, 1), y)
    y = g.add("smaller", nn.SpaceToDepth(2, depth_first=False), y)
    y = g.add("larger2", nn.DepthToSpace(2, depth_first=False), y)
    return g.add("c", nn.Conv2d(8, 2, 1), g.add("smaller2", nn.SpaceToDepth(2), y))


def _fours(g: nn.Graph, x: nn.Tensor) -> nn.Tensor:
    """What GPUs do by four channels a thread, of more channels than a warp has threads."""
    y = g.add("prelu", nn.PReLU(160), g.add("a", nn.Conv2d(3, 160, 1), x))
    y = g.add("norm", nn.LayerNorm(160), y)
    gate = g.add("excite", nn.Sigmoid(), g.add("squeeze", nn.GlobalAvgPool2d(), y))
    y = g.add("scaled", nn.Mul(), y, gate)
    mask = g.add("mask", nn.Sigmoid(), g.add("b", nn.Conv2d(160, 1, 1), y))
    y = g.add("mixed", nn.ChannelShuffle(8), g.add("masked", nn.Mul(), y, mask))
    larger = g.add("larger", nn.DepthToSpace(2), y)
    y = g.add("back", nn.SpaceToDepth(2), g.add("c", nn.Conv2d(40, 40, 1), larger))
    log = g.add("log", nn.LogSoftmax(), g.add("d", nn.Conv2d(160, 160, 1), y))
    return g.add("shares", nn.Softmax(), g.add("e", nn.Mul(), log, y))


def _split(g: nn.Graph, x: nn.Tensor) -> nn.Tensor:
    a = g.add("a", nn.Conv2d(3, 7, 1), x)
    parts = [g.add(f"part{first}", nn.Channels(first, 3), a) for first in (0, 2)]
    return g.add("b", nn.Conv2d(6, 2, 1), g.add("concat", nn.Concat(), *parts))


Conv, Transposed = nn.Conv2d, nn.ConvTranspose2d

# By what each shows.
CASES: dict[str, Callable[[], Case]] = {
    "conv": lambda: case((6, 7, 3), chain(Conv(3, 5, 3))),
    "conv, padding": lambda: case((6, 7, 9), chain(Conv(9, 5, 3, padding=((2, 0), (1, 2))))),
    "conv, stride 2": lambda: case((8, 9, 9), chain(Conv(9, 4, 4, stride=2, padding=1))),
    "conv, stride over kernel": lambda: case((9, 9, 9), chain(Conv(9, 4, 2, stride=3))),
    "conv, dilation": lambda: case((9, 9, 9), chain(Conv(9, 4, 3, padding=2, dilation=2))),
    "conv, stride and dilation": lambda: case(
        (11, 12, 9), chain(Conv(9, 4, 3, stride=(4, 3), padding=2, dilation=(2, 3)))
    ),
    "conv, two, few channels": lambda: case(
        (9, 8, 2), chain(Conv(2, 3, (3, 2), padding=1), Conv(3, 33, 3, stride=2))
    ),
    "conv, many channels": lambda: case((5, 5, 37), chain(Conv(37, 50, 3), Conv(50, 19, 3))),
    "conv, one pixel out": lambda: case((4, 4, 9), chain(Conv(9, 17, 4)), images=21),
    "transposed": lambda: case(
        (4, 3, 9), chain(Transposed(9, 5, 4, stride=2, padding=1), Transposed(5, 2, 3))
    ),
    "transposed, 5x5": lambda: case(
        (4, 4, 20),
        chain(Transposed(20, 6, 5, stride=2, padding=((1, 2), (1, 2)))),
    ),
    "transposed, holes": lambda: case(
        (3, 4, 5), chain(Conv(5, 5, 1), Transposed(5, 4, 2, stride=3, output_padding=1))
    ),
    "linear": lambda: case((1, 1, 40), chain(nn.Linear(40, 50), nn.Linear(50, 7)), images=37),
    "linear on a map": lambda: case((3, 5, 9), chain(nn.Linear(9, 50, bias=False))),
    "relu": lambda: case((4, 4, 3), chain(Conv(3, 6, 3), nn.ReLU(), Conv(6, 2, 1))),
    "leaky": lambda: case((4, 4, 3), chain(Conv(3, 6, 3), nn.LeakyReLU(0.2), Conv(6, 2, 1))),
    "tanh": lambda: case((4, 4, 3), chain(Conv(3, 6, 3), nn.Tanh(), Conv(6, 2, 1), nn.Tanh())),
    "sigmoid": lambda: case((4, 4, 3), chain(Conv(3, 6, 3), nn.Sigmoid(), Conv(6, 2, 1))),
    "activation of an input": lambda: case((4, 4, 3), chain(nn.Tanh(), Conv(3, 2, 1))),
    "max pool": lambda: case((6, 6, 3), chain(Conv(3, 5, 1), nn.MaxPool2d(2), Conv(5, 2, 1))),
    "max pool, overlapping": lambda: case(
        (7, 8, 3), chain(Conv(3, 19, 1), nn.MaxPool2d(3, 2, padding=1, ceil_mode=True))
    ),
    # Of GPUs: windows of 2x2 and 3x3 in steps of 2, four channels a thread and one; any others. A
    # ReLU before makes many of a window's numbers the largest, 0.
    **{
        f"max pool {size} by {stride}, padding {pad}, of {channels} channels": (
            lambda size=size, stride=stride, pad=pad, channels=channels: case(
                (9, 10, 3),
                chain(
                    Conv(3, channels, 1),
                    nn.ReLU(),
                    nn.MaxPool2d(size, stride, padding=pad, ceil_mode=pad == 0),
                    Conv(channels, 2, 1),
                ),
            )
        )
        for size, stride, pad, channels in (
            *((2, 2, 0, 8), (2, 2, 1, 12), (2, 2, 0, 5), (2, 1, 0, 8), (2, 3, 0, 4)),
            *((3, 2, 0, 8), (3, 2, 1, 8), (3, 2, 1, 7), (3, 1, 1, 8), (3, 3, 0, 6)),
            *(((3, 2), (2, 1), 0, 8), (5, 2, 2, 4)),
        )
    },
    "max pool after a leaky ReLU": lambda: case(
        (8, 9, 3), chain(Conv(3, 8, 1), nn.LeakyReLU(0.2), nn.MaxPool2d(3, 2), Conv(8, 2, 1))
    ),
    "max pool of a hyperbolic tangent": lambda: case(
        (6, 6, 3), chain(Conv(3, 4, 1), nn.Tanh(), nn.MaxPool2d(2), Conv(4, 2, 1))
    ),
    "max pool of what is read twice": lambda: case((8, 6, 3), _pooled_and_not),
    "global average": lambda: case((5, 4, 3), chain(Conv(3, 20, 3), nn.GlobalAvgPool2d())),
    "batch norm": lambda: case(
        (5, 4, 3), chain(Conv(3, 21, 3), nn.BatchNorm(21), nn.ReLU(), Conv(21, 2, 1)), images=19
    ),
    "batch norm, plain": lambda: case((3, 3, 5), chain(nn.BatchNorm(5), Conv(5, 4, 1))),
    "batch norm, stored": lambda: case(
        (5, 4, 3),
        chain(Conv(3, 5, 3), nn.BatchNorm(5), nn.LeakyReLU(0.2), Conv(5, 2, 1)),
        stored_statistics=["BatchNorm1"],
    ),
    "instance norm": lambda: case(
        (5, 4, 3), chain(Conv(3, 21, 3), nn.InstanceNorm(21), nn.ReLU(), Conv(21, 2, 1)), images=11
    ),
    # Of GPUs: numbers four at a time, in lines that a split map ends with zeros; many blocks a sum.
    "batch norm, channels in fours": lambda: case(
        (5, 4, 3), chain(Conv(3, 20, 3), nn.BatchNorm(20), nn.LeakyReLU(0.2), Conv(20, 2, 1))
    ),
    "batch norm, sigmoid": lambda: case(
        (5, 4, 3), chain(Conv(3, 8, 3), nn.BatchNorm(8), nn.Sigmoid(), Conv(8, 2, 1))
    ),
    "batch norm of one pixel": lambda: case(
        (1, 1, 9), chain(nn.Linear(9, 8), nn.BatchNorm(8), nn.ReLU(), nn.Linear(8, 3)), images=5
    ),
    "batch norm of large maps": lambda: case(
        (40, 30, 3), chain(Conv(3, 8, 1), nn.BatchNorm(8), nn.ReLU(), Conv(8, 2, 1))
    ),
    "batch norm of large maps, odd channels": lambda: case(
        (20, 15, 3), chain(Conv(3, 13, 1), nn.BatchNorm(13), nn.Tanh(), Conv(13, 2, 1))
    ),
    "batch norm far from 0": lambda: case(
        (20, 10, 3),
        chain(Conv(3, 8, 1, bias=False), nn.Affine(1.0, 30.0), nn.BatchNorm(8), Conv(8, 2, 1)),
    ),
    "instance norm of large maps": lambda: case(
        (48, 48, 3),
        chain(Conv(3, 8, 1), nn.InstanceNorm(8), nn.ReLU(), Conv(8, 13, 1), nn.InstanceNorm(13)),
        images=2,
    ),
    "group norm of large maps": lambda: case(
        (48, 48, 3), chain(Conv(3, 8, 1), nn.GroupNorm(2, 8), nn.Tanh(), Conv(8, 2, 1)), images=2
    ),
    "affine": lambda: case((4, 4, 3), chain(Conv(3, 5, 1), nn.Affine(2.0, 0.5), nn.Tanh())),
    "upsample": lambda: case((3, 4, 3), chain(Conv(3, 5, 1), nn.Upsample(size=(7, 5)))),
    "average pool, border, slice": lambda: case(
        (6, 7, 3),
        chain(
            Conv(3, 5, 1),
            nn.Pad2d(1, "reflect"),
            nn.AvgPool2d(3, 2, padding=1),
            nn.Slice((1, 2, 1)),
        ),
    ),
    **{
        f"{activation}": lambda activation=activation: case(
            (4, 4, 3), chain(Conv(3, 19, 2), activation, Conv(19, 2, 1)), images=2
        )
        for activation in (
            nn.Clip(0, 0.3),
            nn.ELU(0.7, 1.3),
            nn.SELU(),
            nn.HardSigmoid(),
            nn.HardSwish(),
            nn.SiLU(),
            nn.SiLU(1.7),
            nn.GELU(),
            nn.GELU(tanh=True),
            nn.Mish(),
            nn.Softplus(),
            nn.Exp(),
            nn.Abs(),
        )
    },
    "logarithm, root, quotient": lambda: case((3, 3, 3), _quotient),
    "activation of a norm": lambda: case(
        (3, 3, 3), chain(Conv(3, 5, 1), nn.BatchNorm(5), nn.Clip(-0.5, 0.5), Conv(5, 2, 1))
    ),
    "prelu": lambda: case((4, 4, 3), chain(Conv(3, 19, 2), nn.PReLU(19), Conv(19, 2, 1))),
    "prelu of an input": lambda: case((4, 4, 3), chain(nn.PReLU(3), Conv(3, 2, 1)), images=9),
    "groups": lambda: case(
        (6, 7, 6), chain(Conv(6, 9, 3, padding=1, groups=3), nn.ReLU(), Conv(9, 4, 1))
    ),
    "groups, joined in parts": lambda: case(
        (4, 4, 80), chain(Conv(80, 80, 3, stride=2, padding=1, groups=20), nn.Conv2d(80, 3, 1))
    ),
    "groups of many channels": lambda: case(
        (4, 4, 80), chain(Conv(80, 72, 2, groups=2, bias=False), Conv(72, 72, 1, groups=2))
    ),
    "groups, transposed": lambda: case(
        (4, 3, 6), chain(Conv(6, 6, 1), Transposed(6, 4, 4, stride=2, padding=1, groups=2))
    ),
    "depthwise": lambda: case(
        (6, 7, 3), chain(Conv(3, 19, 1), Conv(19, 19, 3, padding=1, groups=19), nn.Clip(0, 6))
    ),
    "depthwise, stride and dilation": lambda: case(
        (11, 9, 5),
        chain(
            Conv(5, 5, (3, 2), stride=(3, 2), padding=2, dilation=(2, 3), groups=5, bias=False),
            Conv(5, 5, 3, stride=2, padding=((1, 0), (0, 1)), groups=5),
        ),
        images=9,
        input_gradients=["x"],
    ),
    # Rows of 3 and of 5 taps, in steps of 1 and 2 from an even and an odd column, four channels a
    # thread of a GPU.
    **{
        f"depthwise, {taps} taps, stride {stride}, padding {pad}": lambda taps=taps,
        stride=stride,
        pad=pad: case(
            (9, 10, 3),
            chain(
                Conv(3, 8, 1),
                Conv(8, 8, (3 if taps == 3 else 2, taps), stride=stride, padding=pad, groups=8),
                nn.Tanh(),
            ),
        )
        for taps, stride, pad in (
            *((3, 1, 1), (3, 1, 3), (3, 2, 0), (3, 2, 1), (3, (1, 2), 2)),
            *((5, 1, 2), (5, 1, 0), (5, 2, 1), (5, 2, 2), (5, (2, 1), 4)),
        )
    },
    "depthwise, any channels": lambda: case(
        (7, 6, 5),
        chain(
            Conv(5, 5, 3, stride=2, padding=1, groups=5),
            nn.Tanh(),
            Conv(5, 5, 3, padding=1, groups=5),
        ),
        images=11,
        input_gradients=["x"],
    ),
    "depthwise, of the whole map": lambda: case(
        (7, 7, 3), chain(Conv(3, 12, 1), Conv(12, 12, 7, groups=12), Conv(12, 2, 1)), images=9
    ),
    "group norm": lambda: case(
        (5, 4, 3), chain(Conv(3, 22, 3), nn.GroupNorm(2, 22), nn.ReLU(), Conv(22, 2, 1)), images=9
    ),
    "layer norm": lambda: case(
        (3, 4, 3), chain(Conv(3, 21, 2), nn.LayerNorm(21), nn.GELU(), Conv(21, 2, 1)), images=9
    ),
    "layer norm of an input": lambda: case((3, 4, 5), chain(nn.LayerNorm(5), Conv(5, 2, 1))),
    "softmax on the way": lambda: case(
        (2, 3, 3), chain(Conv(3, 19, 1), nn.Softmax(), Conv(19, 2, 1), nn.LogSoftmax())
    ),
    "fours of channels": lambda: case((4, 6, 3), _fours, images=9),
    "squeeze and excite": lambda: case((4, 5, 3), _gated, images=2),
    "products": lambda: case((3, 4, 3), _products),
    "shuffled": lambda: case(
        (4, 6, 3), chain(Conv(3, 12, 1), nn.ChannelShuffle(3), Conv(12, 2, 1))
    ),
    "pixel shuffles": lambda: case((4, 6, 3), _rearranged),
    "channels of a split": lambda: case((3, 4, 3), _split),
    "add": lambda: case((5, 5, 3), _residual),
    "concat": lambda: case((5, 4, 3), _concat),
    "concat, channels in fours": lambda: case((5, 4, 3), _concat_fours),
    "reshape": lambda: case((2, 3, 3), _reshaped_twice),
    "cross-entropy": lambda: case(
        (1, 1, 9), chain(nn.Linear(9, 10), nn.Softmax()), "cross_entropy", images=9
    ),
    "cross-entropy of pixels": lambda: case((4, 5, 3), chain(Conv(3, 6, 1)), "cross_entropy"),
    # Of GPUs: an image's loss in many blocks, or a warp for a pixel of many classes.
    "cross-entropy of large maps": lambda: case(
        (48, 49, 3), chain(Conv(3, 21, 1)), "cross_entropy"
    ),
    "cross-entropy of large maps, even channels": lambda: case(
        (33, 20, 3), chain(Conv(3, 38, 1)), "cross_entropy", images=2
    ),
    "cross-entropy of many classes": lambda: case(
        (1, 1, 5), chain(nn.Linear(5, 1100)), "cross_entropy", images=9
    ),
    "soft cross-entropy of large maps": lambda: case(
        (40, 31, 3), chain(Conv(3, 12, 1)), "soft_cross_entropy", images=2
    ),
    "soft cross-entropy of many classes": lambda: case(
        (1, 2, 5), chain(nn.Linear(5, 600)), "soft_cross_entropy", images=2
    ),
    "losses of large maps": lambda: case(
        (48, 60, 3),
        chain(Conv(3, 4, 1), nn.Tanh(), Conv(4, 3, 1), nn.Sigmoid()),
        {"Conv2d0": L2(), "Tanh1": L1(), "Sigmoid3": "binary_cross_entropy"},
    ),
    "losses of large maps of many images": lambda: case(
        (1, 1, 2), chain(nn.Linear(2, 4100)), "l2", images=515
    ),
    "losses of large maps, odd numbers": lambda: case(
        (51, 49, 3),
        chain(Conv(3, 5, 1), nn.Tanh(), Conv(5, 3, 1), nn.Sigmoid()),
        {"Conv2d0": "given", "Tanh1": L1(), "Sigmoid3": "binary_cross_entropy"},
    ),
    "binary cross-entropy": lambda: case(
        (2, 2, 9), chain(Conv(9, 2, 2), nn.Sigmoid()), "binary_cross_entropy", images=9
    ),
    "l1": lambda: case((3, 3, 4), chain(Conv(4, 4, 1)), "l1"),
    "soft cross-entropy": lambda: case(
        (1, 1, 9), chain(nn.Linear(9, 10), nn.Softmax()), "soft_cross_entropy", images=9
    ),
    "soft cross-entropy of pixels": lambda: case(
        (4, 5, 3), chain(Conv(3, 17, 1)), SoftCrossEntropy(weight=0.5)
    ),
    "given": lambda: case((3, 3, 4), chain(Conv(4, 4, 1)), "given", images=11),
    "relativistic pairs": lambda: case(
        (4, 4, 3),
        chain(Conv(3, 5, 3), nn.LeakyReLU(0.2), Conv(5, 1, 1, bias=False)),
        "relativistic_pairs",
        images=10,
    ),
    "relativistic pairs, penalty": lambda: case(
        (4, 4, 3),
        chain(Conv(3, 5, 3), nn.Tanh(), Conv(5, 1, 1, bias=False)),
        RelativisticPairs(penalty=2.0),
        images=20,
    ),
    "relativistic pairs, generator": lambda: case(
        (4, 4, 3),
        chain(Conv(3, 5, 3), nn.Tanh(), Conv(5, 1, 1)),
        RelativisticPairs(generator=True, weight=3.0),
        images=6,
        input_gradients=["x"],
    ),
    "two losses, one on the way": lambda: case(
        (4, 4, 3),
        chain(Conv(3, 5, 1), nn.Tanh(), Conv(5, 2, 3), nn.Sigmoid()),
        {"Tanh1": L1(weight=10.0), "Sigmoid3": "binary_cross_entropy"},
    ),
    "three losses, of views and of what a loss has in itself": lambda: case(
        (1, 1, 5),
        chain(nn.Linear(5, 6), nn.Reshape(Shape(1, 2, 3)), nn.Linear(3, 2), nn.Softmax()),
        {"Linear0": "l2", "Reshape1": L2(weight=0.5), "Softmax3": "cross_entropy"},
    ),
    "gradients of inputs": lambda: case(
        (5, 5, 3),
        chain(Conv(3, 4, 3), nn.BatchNorm(4), nn.ReLU(), Conv(4, 2, 1)),
        images=9,
        input_gradients=["x"],
    ),
    "gradients of an input that is reshaped, all frozen": lambda: case(
        (1, 1, 18),
        chain(nn.Reshape(Shape(3, 3, 2)), Conv(2, 3, 2), nn.Tanh()),
        images=9,
        input_gradients=["x"],
        frozen=["Conv2d1"],
    ),
    "three layers": lambda: case(
        (5, 5, 3), chain(Conv(3, 4, 3), nn.ReLU(), Conv(4, 5, 1), nn.Sigmoid(), Conv(5, 2, 1))
    ),
    "dropout": lambda: case(
        (3, 3, 4),
        chain(Conv(4, 7, 1), nn.ReLU(), Conv(7, 6, 1), Conv(6, 2, 1)),
        dropout={"ReLU1": 0.4, "Conv2d2": 0.25},
    ),
    "frozen front": lambda: case(
        (5, 5, 3),
        chain(Conv(3, 4, 3), nn.ReLU(), Conv(4, 5, 1, bias=False), nn.BatchNorm(5), Conv(5, 2, 1)),
        frozen=["Conv2d0", "BatchNorm3"],
    ),
}
