"""What is measured: a network, or one layer of it, with its weights and inputs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from bench.others import OTHERS, initial_weights
from facegen.nn import Conv2d, ConvTranspose2d, Graph, Linear, Shape
from facegen.nn.layer import Layer

ROTATION_BYTES = 64 << 20  # inputs in turn, so that none is found in a core's own caches
MAX_ROTATION = 16


@dataclass(frozen=True)
class Workload:
    """A graph and its weights, by the graph's parameter names; inputs are of that range."""

    graph: Graph
    weights: Mapping[str, np.ndarray]
    input_range: tuple[float, float] = (-1.0, 1.0)

    @property
    def name(self) -> str:
        return self.graph.name

    def rotation(self, batch: int) -> int:
        """How many different inputs of this batch size are used in turn."""
        size_bytes = 4 * batch * sum(tensor.shape.floats for tensor in self.graph.inputs)
        return min(max(2, math.ceil(ROTATION_BYTES / size_bytes)), MAX_ROTATION)

    def inputs(self, batch: int, turn: int) -> list[np.ndarray]:
        """Inputs (batch, h, w, c) number `turn`, uniform in their range."""
        generator = np.random.default_rng([batch, turn])
        low, high = (np.float32(end) for end in self.input_range)
        return [
            generator.random((batch, *tensor.shape), np.float32) * (high - low) + low
            for tensor in self.graph.inputs
        ]


def network(name: str, seed: int = 0) -> Workload:
    """The network of that name, the package's own or one of bench.others, with seeded weights."""
    from facegen.networks import NETWORKS

    if name in OTHERS:
        graph = OTHERS[name]()
        return Workload(graph, initial_weights(graph, seed))
    if name not in NETWORKS:
        raise ValueError(f"no network named {name!r}; there are {', '.join([*NETWORKS, *OTHERS])}")
    chosen = NETWORKS[name]
    return Workload(chosen.graph(), chosen.initial_weights(seed), chosen.input_range)


def layers(whole: Workload) -> list[Workload]:
    """Each convolution and linear layer as a network of its own; of equal ones the first."""
    shapes = {node.name: node.shape for node in whole.graph.nodes}
    found: dict[tuple[Layer, Shape], Workload] = {}
    for node in whole.graph.nodes:
        if not isinstance(node.layer, Conv2d | ConvTranspose2d | Linear):
            continue
        shape = shapes[node.inputs[0]]
        name = f"{whole.name}.{node.name}"
        graph = Graph.of_layer(name, node.layer, shape, called=node.name)
        weights = {name: whole.weights[name] for name in graph.parameters}
        found.setdefault((node.layer, shape), Workload(graph, weights))
    return list(found.values())
