"""A network as a graph of layers, written in the order in which it computes."""

from __future__ import annotations

import math
import re
from typing import NamedTuple

from facegen._native import MOST_PIXELS, MOST_POSITIONS
from facegen.nn.layer import Layer, Shape
from facegen.nn.table import quantity, text_table


class Tensor(NamedTuple):
    """A value of a graph: the output of the layer, or the input, of that name."""

    name: str
    shape: Shape


class Node(NamedTuple):
    """A layer in its place; `layer` is None for an input of the graph."""

    name: str
    layer: Layer | None
    inputs: tuple[str, ...]
    shape: Shape


class Graph:
    """Layers, each added after those it reads from. ``print(graph)`` is a table.

    Examples
    --------
    >>> from facegen.nn import Conv2d, Graph, ReLU, Shape
    >>> graph = Graph("edges")
    >>> x = graph.input("image", Shape(8, 8, 3))
    >>> x = graph.add("conv", Conv2d(3, 4, kernel=3, padding=1), x)
    >>> x = graph.add("relu", ReLU(), x)
    >>> graph.output(x)
    >>> x.shape
    Shape(height=8, width=8, channels=4)
    >>> graph.parameters
    {'conv.weight': (4, 3, 3, 3), 'conv.bias': (4,)}
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._nodes: dict[str, Node] = {}
        self._outputs: list[str] = []

    @classmethod
    def of_layer(cls, name: str, layer: Layer, *shapes: Shape, called: str = "layer") -> Graph:
        """A graph of one layer alone.

        Parameters
        ----------
        name
            The graph's.
        layer
            Whose output is the graph's.
        shapes
            Of its inputs, which are ``x`` or, of several, ``x0``, ``x1`` and on.
        called
            The layer's name in it, with which those of its parameters begin.

        Raises
        ------
        ValueError
            The shapes do not suit the layer.
        """
        graph = cls(name)
        names = ["x"] if len(shapes) == 1 else [f"x{i}" for i in range(len(shapes))]
        inputs = [graph.input(*each) for each in zip(names, shapes, strict=True)]
        graph.output(graph.add(called, layer, *inputs))
        return graph

    def input(self, name: str, shape: Shape) -> Tensor:
        """Declare an input; the order of the declarations is that of the runner's arguments."""
        shape = Shape(*shape)
        if min(shape) < 1:
            raise ValueError(f"input {name!r} must have at least 1 pixel and channel, not {shape}")
        return self._append(Node(name, None, (), shape))

    def add(self, name: str, layer: Layer, *inputs: Tensor) -> Tensor:
        """Append a layer that reads `inputs`; ValueError where their shapes do not suit it."""
        for tensor in inputs:
            self._check_own(tensor)
        try:
            shape = layer.output_shape(*(tensor.shape for tensor in inputs))
        except ValueError as error:
            raise ValueError(f"layer {name!r} of {self.name}: {error}") from None
        return self._append(Node(name, layer, tuple(tensor.name for tensor in inputs), shape))

    def output(self, tensor: Tensor) -> None:
        """Declare an output; the order of the declarations is that of the results."""
        self._check_own(tensor)
        self._outputs.append(tensor.name)

    @property
    def nodes(self) -> tuple[Node, ...]:
        """Inputs and layers; each comes after what it reads."""
        return tuple(self._nodes.values())

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        return tuple(Tensor(n.name, n.shape) for n in self.nodes if n.layer is None)

    @property
    def outputs(self) -> tuple[Tensor, ...]:
        return tuple(Tensor(name, self._nodes[name].shape) for name in self._outputs)

    @property
    def parameters(self) -> dict[str, tuple[int, ...]]:
        """Shape of every parameter, by ``layer.parameter``, in the order of the layers."""
        return {
            f"{node.name}.{parameter}": shape
            for node in self.nodes
            if node.layer is not None
            for parameter, shape in node.layer.parameters().items()
        }

    @property
    def parameter_count(self) -> int:
        return sum(self._parameter_count(node) for node in self.nodes)

    @property
    def flops(self) -> int:
        """Floating-point operations of one image; see :meth:`Layer.flops`."""
        return sum(self._flops(node) for node in self.nodes)

    def __str__(self) -> str:
        rows = [
            [
                node.name,
                "input" if node.layer is None else type(node.layer).__name__,
                ", ".join(node.inputs),
                str(node.shape),
                f"{self._parameter_count(node):,}" if self._parameter_count(node) else "-",
                quantity(self._flops(node)) if self._flops(node) else "-",
            ]
            for node in self.nodes
        ]
        headers = ["layer", "kind", "reads", "output", "parameters", "FLOPs"]
        outputs = ", ".join(f"{tensor.name} {tensor.shape}" for tensor in self.outputs)
        return "\n".join(
            [
                f"{self.name} -> {outputs or 'no output yet'}",
                text_table(headers, rows, left=4),
                f"{self.parameter_count:,} parameters, {quantity(self.flops)}FLOP an image",
            ]
        )

    def _append(self, node: Node) -> Tensor:
        if not re.fullmatch(r"[\w./-]+", node.name):
            raise ValueError(f"a layer's name is letters, digits and _ . / -, not {node.name!r}")
        if node.name in self._nodes:
            raise ValueError(f"{self.name} already has a layer named {node.name!r}")
        if max(node.shape) > MOST_POSITIONS or node.shape.height * node.shape.width > MOST_PIXELS:
            raise ValueError(f"{node.name!r} of {self.name} is too large: {node.shape}")
        self._nodes[node.name] = node
        return Tensor(node.name, node.shape)

    def _check_own(self, tensor: Tensor) -> None:
        node = self._nodes.get(tensor.name)
        if node is None or node.shape != tensor.shape:
            raise ValueError(f"{tensor.name!r} is not a tensor of {self.name}")

    def _parameter_count(self, node: Node) -> int:
        if node.layer is None:
            return 0
        return sum(math.prod(shape) for shape in node.layer.parameters().values())

    def _flops(self, node: Node) -> int:
        if node.layer is None:
            return 0
        return node.layer.flops(*(self._nodes[name].shape for name in node.inputs))
