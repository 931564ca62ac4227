"""A network cut where training begins: what is in front gives the same for a picture always."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facegen import system
from facegen.engine import Runner
from facegen.engine.device import CPU
from facegen.nn import Graph, lower
from facegen.nn.graph import Tensor
from facegen.shares import chunks

_MEMORY_SHARE = 0.25  # of the machine's, that features may take


@dataclass(frozen=True)
class Cut:
    """Both parts, their layers named as in the whole.

    Attributes
    ----------
    front
        Its outputs are what the rest reads; None where training begins at an input.
    rest
        Its inputs are named after the layers of the front, or the inputs, that they come from.
    """

    front: Graph | None
    rest: Graph


def cut(graph: Graph, trained: Collection[str]) -> Cut:
    """Cut a graph in front of the layers that are trained, and of all that depends on them.

    Raises
    ------
    ValueError
        None of the outputs depends on them, or there is no such layer.
    """
    if unknown := set(trained) - {node.name for node in graph.nodes if node.layer is not None}:
        raise ValueError(f"{graph.name} has no layer named {min(unknown)!r}")
    behind: set[str] = set()
    for node in graph.nodes:
        if node.name in trained or behind & set(node.inputs):
            behind.add(node.name)
    outputs = [tensor.name for tensor in graph.outputs]
    if not set(outputs) <= behind:
        raise ValueError(f"{graph.name}: an output depends on no layer that is trained")
    read = {name for node in graph.nodes if node.name in behind for name in node.inputs}
    between = [node for node in graph.nodes if node.name in read - behind]
    rest = Graph(f"{graph.name}, trained")
    placed = {node.name: rest.input(node.name, node.shape) for node in between}
    _add(rest, graph, behind, placed)
    for name in outputs:
        rest.output(placed[name])
    if all(node.layer is None for node in between):
        return Cut(None, rest)
    front = Graph(f"{graph.name}, frozen")
    placed = {each.name: front.input(each.name, each.shape) for each in graph.inputs}
    _add(front, graph, _needed(graph, {node.name for node in between}), placed)
    for node in between:
        front.output(placed[node.name])
    return Cut(front, rest)


def _needed(graph: Graph, names: set[str]) -> set[str]:
    """The layers that these come from, themselves among them."""
    needed = set(names)
    for node in reversed(graph.nodes):
        if node.name in needed:
            needed |= set(node.inputs)
    return needed


def _add(to: Graph, graph: Graph, chosen: set[str], placed: dict[str, Tensor]) -> None:
    for node in graph.nodes:
        if node.layer is not None and node.name in chosen:
            inputs = [placed[name] for name in node.inputs]
            placed[node.name] = to.add(node.name, node.layer, *inputs)


def own_weights(graph: Graph, weights: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Those of the weights that a graph has, the arrays themselves."""
    return {name: weights[name] for name in graph.parameters}


def feature_bytes(front: Graph) -> int:
    """What a front gives of a picture."""
    return 4 * sum(tensor.shape.floats for tensor in front.outputs)


def may_be_kept(front: Graph, pictures: int) -> bool:
    """Whether the features of so many pictures take no more memory than can be spared."""
    there = system.memory_bytes()
    return there is None or pictures * feature_bytes(front) <= _MEMORY_SHARE * there


class Features:
    """What a front gives of every sample, computed once.

    Attributes
    ----------
    arrays
        (samples, height, width, channels) float32, one for each of the front's outputs.
    """

    def __init__(
        self,
        front: Graph,
        weights: Mapping[str, np.ndarray],
        read: Callable[[NDArray[np.int64]], np.ndarray],
        samples: int,
        threads: int | None = None,
        advance: Callable[[int], None] = lambda done: None,
        batch: int = 16,
        device: str = CPU,
    ) -> None:
        """`read` gives the front's input of some samples; `advance` is told how many are done."""
        runner = Runner(
            lower(front, own_weights(front, weights)), device, threads, precision="strict"
        )
        self.arrays = [
            np.empty((samples, *tensor.shape), np.float32) for tensor in front.outputs
        ]
        for part in chunks(np.arange(samples), batch):
            found = runner(read(part))
            for array, values in zip(
                self.arrays, found if isinstance(found, tuple) else (found,), strict=True
            ):
                array[part] = values
            advance(len(part))

    def __getitem__(self, samples: NDArray[np.int64]) -> list[np.ndarray]:
        """Of some samples."""
        return [array[samples] for array in self.arrays]
