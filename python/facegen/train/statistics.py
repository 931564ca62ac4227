"""Batch norms' statistics, measured anew: averaged weights never saw those that they produce."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping

import numpy as np

from facegen.engine import Runner
from facegen.engine.device import CPU
from facegen.nn import Graph, lower
from facegen.nn.graph import Tensor
from facegen.nn.layers import BatchNorm


def measure_statistics(
    graph: Graph,
    weights: Mapping[str, np.ndarray],
    batches: Callable[[], Iterable[np.ndarray]],
    keep: Collection[str] = (),
    threads: int | None = None,
    device: str = CPU,
) -> dict[str, np.ndarray]:
    """The weights, with mean and variance of each batch norm over what it is given.

    One after another: what a norm is given depends on those before it, which have their new ones.

    Parameters
    ----------
    graph
        Of one input.
    batches
        Called once for each norm: inputs (n, height, width, channels), always the same.
    keep
        Norms that stay as they are.
    threads, device
        As for `facegen.engine.Runner`.
    """
    result = dict(weights)
    for node in graph.nodes:
        if not isinstance(node.layer, BatchNorm) or node.name in keep:
            continue
        front = _front(graph, node.inputs[0])
        needed = {name: result[name] for name in front.parameters}
        runner = Runner(lower(front, needed), device, threads)
        # About the first pixel, near the mean: differences of large numbers would lose digits.
        count, centre = 0, np.zeros(node.layer.channels)
        total, squares = np.zeros_like(centre), np.zeros_like(centre)
        for batch in batches():
            pixels = runner(batch).reshape(-1, node.layer.channels)
            if count == 0:
                centre = pixels[0].astype(np.float64)
            apart = pixels - centre
            count += len(apart)
            total += apart.sum(axis=0)
            squares += np.square(apart).sum(axis=0)
        mean = total / count
        result[f"{node.name}.mean"] = (centre + mean).astype(np.float32)
        variance = np.maximum(squares / count - mean**2, 0)
        result[f"{node.name}.var"] = variance.astype(np.float32)
    return result


def _front(graph: Graph, value: str) -> Graph:
    """The part of the graph that gives this value."""
    front, placed = Graph(f"{graph.name} to {value}"), dict[str, Tensor]()
    for node in graph.nodes:
        if node.layer is None:
            placed[node.name] = front.input(node.name, node.shape)
        else:
            sources = (placed[name] for name in node.inputs)
            placed[node.name] = front.add(node.name, node.layer, *sources)
        if node.name == value:
            break
    front.output(placed[value])
    return front
