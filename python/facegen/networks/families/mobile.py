"""What MobileNets share."""

from __future__ import annotations

import numpy as np

from facegen.networks.seeded import seeded_weights
from facegen.nn import BatchNorm, Conv2d, Graph, Layer, Tensor


def conv_bn(
    g: Graph,
    name: str,
    conv: Conv2d,
    x: Tensor,
    activation: Layer | None,
    first: int = 0,
    eps: float = 1e-5,
) -> Tensor:
    """Modules of a sequence from `first` on: a convolution, its norm, its activation."""
    x = g.add(f"{name}.{first}", conv, x)
    x = g.add(f"{name}.{first + 1}", BatchNorm(conv.out_channels, eps), x)
    return x if activation is None else g.add(f"{name}.{first + 2}", activation, x)


def seeded(graph: Graph, seed: int) -> dict[str, np.ndarray]:
    """Seeded weights; the scores are a quarter, which leaves the probabilities of one order."""
    weights = seeded_weights(graph.parameters, seed)
    *_, last = (name for name in weights if name.endswith(".weight"))
    return weights | {last: weights[last] * np.float32(1 / 4)}
