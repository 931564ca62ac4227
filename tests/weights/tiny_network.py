"""A network of three small tensors, so that damaged files of its weights are small as well."""

from __future__ import annotations

import numpy as np
import safetensors.numpy

from facegen.networks import Network
from facegen.weights.layout import Entry

LAYOUT = [
    Entry("a.weight", (2, 3), (1, 0)),
    Entry("a.bias", (3,), (0,)),
    Entry("b.weight", (5, 5, 2, 3), (2, 0, 1, 3)),
]


SHAPES = {entry.name: entry.shape for entry in LAYOUT}


class _Graph:
    parameters = SHAPES


TINY = Network(
    name="tiny",
    summary="for tests",
    graph=_Graph,  # type: ignore[arg-type]
    binary_layout=LAYOUT,
    initial_weights=lambda seed: tiny_weights(),
    model=dict,
)


def tiny_weights() -> dict[str, np.ndarray]:
    generator = np.random.default_rng(1)
    return {n: generator.standard_normal(s).astype(np.float32) for n, s in SHAPES.items()}


def safetensors_save(weights: dict[str, np.ndarray], network: str = "tiny") -> bytes:
    return safetensors.numpy.save(weights, metadata={"network": network})
