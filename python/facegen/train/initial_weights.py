"""Weights to start from."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod, sqrt
from zlib import crc32

import numpy as np

from facegen.nn import ConvTranspose2d, Graph


def initial_weights(graph: Graph, seed: int) -> dict[str, np.ndarray]:
    """Weights of a seed: uniform of variance 2 / fan-in (He et al. 2015); biases 0, norms 1 and 0.

    An output of a transposed convolution of stride s is reached by 1 / s^2 of its taps.
    """
    generator = np.random.Generator(np.random.PCG64(seed))
    weights = {}
    for node in graph.nodes:
        for name, shape in node.layer.parameters().items() if node.layer is not None else ():
            if name == "weight":
                fan_in = float(prod(shape[1:]))
                if isinstance(node.layer, ConvTranspose2d):
                    fan_in /= node.layer.axes[0].stride * node.layer.axes[1].stride
                half_width = sqrt(6.0 / max(1.0, fan_in))
                values = (generator.random(shape) * 2.0 - 1.0) * half_width
            else:
                values = np.full(shape, 1.0 if name in ("gamma", "var") else 0.0)
            weights[f"{node.name}.{name}"] = values.astype(np.float32)
    return weights


def digest(weights: Mapping[str, np.ndarray]) -> int:
    """Of weights that a run starts from: what stays as it was is in no checkpoint."""
    found = 0
    for name in sorted(weights):
        found = crc32(weights[name].tobytes(), crc32(name.encode(), found))
    return found
