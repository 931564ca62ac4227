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


def _reshaped_twice(g: nn.Graph, x: nn.Tensor) -> nn.Tensor:
    a = g.add("a", nn.Conv2d(3, 4, 1), x)
    flat = g.add("flat", nn.Reshape(Shape(1, 1, a.shape.floats)), a)
    b = g.add("b", nn.Linear(flat.shape.channels, a.shape.floats), flat)
    back = g.add("back", nn.Reshape(a.shape), b)
    return g.add("add", nn.Add(), back, a)


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
    "add": lambda: case((5, 5, 3), _residual),
    "concat": lambda: case((5, 4, 3), _concat),
    "reshape": lambda: case((2, 3, 3), _reshaped_twice),
    "cross-entropy": lambda: case(
        (1, 1, 9), chain(nn.Linear(9, 10), nn.Softmax()), "cross_entropy", images=9
    ),
    "cross-entropy of pixels": lambda: case((4, 5, 3), chain(Conv(3, 6, 1)), "cross_entropy"),
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
