"""Small graphs, one for each rule or how rules meet, with a loss and a batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from facegen import nn
from facegen.nn import Shape


class Case(NamedTuple):
    graph: nn.Graph
    loss: str
    x: list[np.ndarray]
    y: np.ndarray
    options: dict


Build = Callable[[nn.Graph, nn.Tensor], nn.Tensor]


def case(
    shape: tuple[int, int, int],
    build: Build,
    loss: str = "l2",
    images: int = 3,
    seed: int = 0,
    **options,
) -> Case:
    """A graph of one input; targets are drawn for its loss."""
    graph = nn.Graph("case")
    x = graph.input("x", Shape(*shape))
    y = build(graph, x)
    graph.output(y)
    random = np.random.default_rng(seed)
    given = random.standard_normal((images, *shape)).astype(np.float32)
    target = random.standard_normal((images, *y.shape))
    if loss == "cross_entropy":
        target = random.integers(
            -1 if y.shape.height > 1 else 0, y.shape.channels, (images, *y.shape[:2], 1)
        )
    elif loss == "binary_cross_entropy":
        target = random.random((images, *y.shape))
    return Case(
        graph,
        loss,
        [given],
        target.astype(np.int32 if target.dtype == int else np.float32),
        options,
    )


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
