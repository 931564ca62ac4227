"""A graph with its weights, and its inputs and outputs as people have them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facegen.nn import Graph, Tensor
from facegen.photos.preparation import Preparation
from facegen.weights.checks import check_variance, checked


@dataclass(frozen=True)
class End:
    """An input or output: its name, and its shape without the batch, channels first.

    `order`: where each number of an output lies in a vector of the graph; None where the graph has
    the map itself. `free`: axes of an input's shape whose sizes may be others.
    """

    name: str
    shape: tuple[int, ...]
    order: NDArray[np.intp] | None = None
    free: tuple[int, ...] = ()

    def __str__(self) -> str:
        return f"{self.name} {self.stated('NCHW')}"

    def stated(self, layout: str) -> str:
        """The shape for people, as "(n, 3, any, any)"."""
        sizes = ["any" if i in self.free else str(k) for i, k in enumerate(self.shape)]
        if layout == "NHWC" and self.order is None:
            sizes = [*sizes[1:], sizes[0]]
        return f"({', '.join(['n', *sizes])})"

    def fits(self, shape: tuple[int, ...]) -> bool:
        """Whether an input may have this shape, without the batch, channels first."""
        return len(shape) == len(self.shape) and all(
            found == size or (i in self.free and found > 0)
            for i, (found, size) in enumerate(zip(shape, self.shape, strict=True))
        )

    def in_layout(self, layout: str) -> tuple[int, ...]:
        """The shape where arrays are "NCHW" or "NHWC"; what was reordered has one in either."""
        if layout == "NHWC" and self.order is None:
            return (*self.shape[1:], self.shape[0])
        return self.shape

    @classmethod
    def of(cls, tensor: Tensor) -> End:
        """Of a tensor as a table has it: a map (channels, height, width), or one pixel's channels.

        >>> from facegen.nn import Shape
        >>> str(End.of(Tensor("latent", Shape(1, 1, 100))))
        'latent (n, 100)'
        """
        height, width, channels = tensor.shape
        alone = (height, width) == (1, 1)
        return cls(tensor.name, (channels,) if alone else (channels, height, width))


@dataclass(frozen=True)
class GraphNetwork:
    """What a file of a network of any kind holds.

    Attributes
    ----------
    known_as
        The network of `facegen.networks` that the file says it is, which it may not be.
    at
        The same network for inputs of other shapes, where some of their sizes are free: takes the
        shape of each, without the batch, channels first. None where all are fixed.
    classes
        Names of what its scores are of, one a channel; None of other networks.
    preparation
        What its input is of a picture; None where the file does not say.
    """

    graph: Graph
    weights: dict[str, np.ndarray]
    inputs: tuple[End, ...]
    outputs: tuple[End, ...]
    known_as: str | None = None
    at: Callable[[Sequence[tuple[int, ...]]], GraphNetwork] | None = None
    classes: tuple[str, ...] | None = None
    preparation: Preparation | None = None

    @classmethod
    def of(
        cls, graph: Graph, weights: Mapping[str, np.ndarray], known_as: str | None = None
    ) -> GraphNetwork:
        """A graph that somebody wrote as a table, with its weights.

        Raises
        ------
        FormatError
            A weight is missing, unknown, of another shape or type, or not finite; a variance is
            negative.
        ValueError
            The graph has no output.
        """
        if not graph.outputs:
            raise ValueError(f"{graph.name} has no output: call graph.output(tensor)")
        own = checked(weights, graph.parameters, f"weights of {graph.name}")
        check_variances(graph, own, f"weights of {graph.name}")
        inputs, outputs = (tuple(map(End.of, each)) for each in (graph.inputs, graph.outputs))
        return cls(graph, own, inputs, outputs, known_as)


def check_variances(graph: Graph, weights: Mapping[str, np.ndarray], where: str) -> None:
    """Refuse the negative variance of a norm; the message names `where`."""
    for name in graph.parameters:
        if name.endswith(".var"):
            check_variance(where, name, weights[name])
