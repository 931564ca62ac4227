"""Weights of any graph, for tests."""

from __future__ import annotations

import numpy as np

from facegen.nn import Graph


def random_weights(graph: Graph, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Float32 weights that keep values near 1: batch norms far from the identity included."""
    weights = {}
    for name, shape in graph.parameters.items():
        parameter = name.rsplit(".", 1)[1]
        if parameter == "weight":
            fan_in = int(np.prod(shape[1:]))
            value = rng.standard_normal(shape) * np.sqrt(2 / fan_in)
        elif parameter in ("gamma", "var"):
            value = rng.uniform(0.5, 2, shape)
        else:
            value = rng.standard_normal(shape)
        weights[name] = value.astype(np.float32)
    return weights
