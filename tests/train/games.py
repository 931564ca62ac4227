"""Two small networks that play against each other."""

from __future__ import annotations

from typing import Any

import numpy as np

from facegen import nn, train
from facegen.engine.device import CPU
from facegen.nn import Graph, Shape


def maker() -> Graph:
    g = Graph("maker")
    x = g.add("up", nn.ConvTranspose2d(8, 16, 6), g.input("z", Shape(1, 1, 8)))
    x = g.add("relu", nn.ReLU(), g.add("norm", nn.BatchNorm(16), x))
    g.output(g.add("picture", nn.Tanh(), g.add("out", nn.Conv2d(16, 3, 3, padding=1), x)))
    return g


def judge() -> Graph:
    g = Graph("judge")
    x = g.add("conv", nn.Conv2d(3, 8, 3, stride=2), g.input("shown", Shape(6, 6, 3)))
    x = g.add("mean", nn.GlobalAvgPool2d(), g.add("leaky", nn.LeakyReLU(0.2), x))
    g.output(g.add("score", nn.Linear(8, 1), x))
    return g


class Game:
    """Two players, as docs/training-gpu.md has them; `more` is for both trainers."""

    def __init__(self, device: str, **more: Any) -> None:
        made, shown = maker(), judge()
        own, others = (train.Trainer(g, "l2", train.SGD(rate=0.0), seed=i).weights
                       for i, g in enumerate((made, shown)))  # fmt: skip
        options: dict[str, Any] = {"threads": 1, "device": device, **more}
        self.generator = train.Trainer(
            train.join(made, shown, outputs=("picture", "score")),
            {"score": "binary_cross_entropy"}, train.Adam(rate=1e-3), weights={**own, **others},
            frozen=[node.name for node in shown.nodes if node.layer is not None],
            outputs=["picture"], **options,
        )  # fmt: skip
        self.discriminator = train.Trainer(
            shown, "binary_cross_entropy", train.Adam(rate=1e-3), weights=others, **options
        )

    def step(self, z: np.ndarray, real: np.ndarray, wait: bool) -> list[np.ndarray | None]:
        there = self.generator.device != CPU
        targets = np.repeat(np.float32([1, 0]), len(z))
        fooled = self.generator.step(z, 1.0, wait=wait)
        picture = self.generator.output("picture", on_device=there)
        pieces = train.Pieces([real, picture])
        return [fooled, self.discriminator.step(pieces, targets, wait=wait)]
