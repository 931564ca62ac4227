"""The graph and the weights that grow while a file is read."""

from __future__ import annotations

import re

import numpy as np

from facegen.nn import (
    Affine,
    BatchNorm,
    Concat,
    Graph,
    Layer,
    Linear,
    Reshape,
    Shape,
    Slice,
    Tensor,
)
from facegen.nn.activations import Activation
from facegen.nn.graph import Node
from facegen.nn.layers import Combination
from facegen.numbers.floats import as_float32
from facegen.onnx_files.choice import layers_of_choice
from facegen.onnx_files.parts import box_of, part_of
from facegen.onnx_files.value import Order, Value, channels_last, map_shape
from facegen.weights.checks import check_finite, check_variance

_BY_ELEMENT = (Activation, Affine, BatchNorm, Combination)


class Draft:
    """Layers with their weights; some may turn out to be read by nothing."""

    def __init__(self, name: str) -> None:
        self._graph = Graph(_plain(name))
        self._nodes: dict[str, Node] = {}
        self._weights: dict[str, np.ndarray] = {}

    def input(self, name: str, shape: tuple[int, ...]) -> Value:
        tensor = self._graph.input(self._unused(name), map_shape(shape))
        self._nodes[tensor.name] = self._graph.nodes[-1]
        return Value(tensor, shape)

    def add(self, name: str, layer: Layer, *inputs: Tensor, **weights: np.ndarray) -> Tensor:
        """A layer named after `name`; its weights become float32, and are checked."""
        name = self._unused(name)
        for parameter, shape in layer.parameters().items():
            values = np.asarray(weights[parameter])
            full = f"{name}.{parameter}"
            if values.dtype.kind != "f" and values.dtype.name != "bfloat16":
                raise ValueError(f"expected {parameter} of floats, found {values.dtype}")
            if values.shape != shape:
                raise ValueError(f"expected {parameter} of shape {shape}, found {values.shape}")
            with np.errstate(over="ignore", invalid="ignore"):  # what is too large is refused
                self._weights[full] = as_float32(values.astype(np.float32, copy=False))
            check_finite("its weights", full, self._weights[full])
            if parameter == "var":
                check_variance("its weights", full, self._weights[full])
        tensor = self._graph.add(name, layer, *inputs)
        self._nodes[name] = self._graph.nodes[-1]
        return tensor

    def layer(self, name: str) -> Layer | None:
        """The layer of that name; None for an input."""
        return self._nodes[name].layer

    def source(self, name: str) -> Tensor:
        """What the layer of that name reads first."""
        return self.sources(name)[0]

    def sources(self, name: str) -> list[Tensor]:
        """All that the layer of that name reads."""
        return [Tensor(each, self._nodes[each].shape) for each in self._nodes[name].inputs]

    def reshape(self, tensor: Tensor, shape: Shape) -> Tensor:
        if tensor.shape == shape:
            return tensor
        return self.add(f"{tensor.name}.as.{shape}", Reshape(shape), tensor)

    def flat(self, value: Value) -> tuple[Tensor, Order]:
        """All floats of its tensor as the channels of one pixel, and where the file's lie there."""
        tensor = self.reshape(value.tensor, Shape(1, 1, value.tensor.shape.floats))
        return tensor, value.positions.ravel()

    def alone(self, value: Value) -> Value:
        """The same floats as all of a tensor, which has no others."""
        if value.whole:
            return value
        floats = np.unique(value.positions)  # the layers here leave them in this order
        box = box_of(floats, value.tensor.shape)
        part = None if box is None else self._part(Value(value.tensor, box.shape, box))
        if part is None:
            part = self._chosen(value, floats)
        order = np.searchsorted(floats, value.positions)
        return Value(part, value.shape, order).viewed(order)

    def as_vector(self, value: Value) -> tuple[Tensor, Order]:
        """The file's floats, and no others, as the channels of one pixel, and where each lies."""
        return self.flat(self.alone(value))

    def as_map(self, value: Value) -> Tensor:
        """Channels, as the file has them, as the channels of our graph.

        Raises
        ------
        ValueError
            The floats lie in another order, and what made them cannot make them in this one.
        """
        if value.order is None:
            return value.tensor
        shape, wanted = map_shape(value.shape), channels_last(value.shape)
        tensor = value.tensor
        if not (value.whole and np.array_equal(value.order, wanted)):
            part = self._part(value)
            if part is not None:
                return part
            if not value.whole:
                last = np.moveaxis(value.order, 0, -1).ravel()
                return self.reshape(self._chosen(value, last), shape)
            order = np.empty(wanted.size, np.intp)
            order[wanted.ravel()] = value.order.ravel()
            tensor = self._reordered(tensor, order, {})
        return self.reshape(tensor, shape)

    def _part(self, value: Value) -> Tensor | None:
        """A map of which the value has some rows, columns and channels; None where it is none."""
        height, width, channels = map_shape(value.shape)
        wanted = value.positions.reshape(channels, height, width)
        tensor = value.tensor
        while True:
            part = part_of(wanted, tensor.shape)
            if part is not None:
                break
            if not isinstance(self.layer(tensor.name), Reshape):
                return None
            tensor = self.source(tensor.name)
        if part.rows is not None or part.columns is not None:
            tensor = self.add(f"{tensor.name}.part", Slice(part.rows, part.columns), tensor)
        if part.channels is not None:
            tensor = self._with_channels(tensor, part.channels)
        return self.reshape(tensor, map_shape(value.shape))

    def _chosen(self, value: Value, floats: Order) -> Tensor:
        """A vector of some floats of the value's tensor, which are no part of it as a map."""
        return self._with_channels(self.flat(value)[0], floats)

    def _with_channels(self, tensor: Tensor, chosen: Order) -> Tensor:
        """Some channels, in any order."""
        name, parts = f"{tensor.name}.channels", []
        for layers in layers_of_choice(chosen, tensor.shape.channels):
            part = tensor
            for layer in layers:
                part = self.add(name, layer, part)
            parts.append(part)
        return parts[0] if len(parts) == 1 else self.add(name, Concat(), *parts)

    def finish(self, outputs: list[Tensor]) -> tuple[Graph, dict[str, np.ndarray]]:
        """What the outputs need of it, and every input."""
        needed = {tensor.name for tensor in outputs}
        for node in reversed(self._graph.nodes):
            if node.name in needed:
                needed.update(node.inputs)
        graph = Graph(self._graph.name)
        tensors: dict[str, Tensor] = {}
        for node in self._graph.nodes:
            if node.layer is None:
                tensors[node.name] = graph.input(node.name, node.shape)
            elif node.name in needed:
                inputs = [tensors[name] for name in node.inputs]
                tensors[node.name] = graph.add(node.name, node.layer, *inputs)
        for tensor in outputs:
            graph.output(tensor)
        return graph, {name: self._weights[name] for name in graph.parameters}

    def _reordered(self, tensor: Tensor, order: Order, made: dict[str, Tensor]) -> Tensor:
        """A vector with `tensor`'s float ``order[i]`` at i: the layers before it, reordered."""
        if tensor.name in made:
            return made[tensor.name]
        if tensor.shape.floats == 1:  # for all of a vector
            return tensor
        node = self._nodes[tensor.name]
        inputs = self.sources(tensor.name)
        if isinstance(node.layer, Reshape):
            return self._reordered(inputs[0], order, made)
        vector = tensor.shape[:2] == (1, 1)
        if not (vector and isinstance(node.layer, (Linear, *_BY_ELEMENT))):
            raise ValueError(
                "its input is reshaped or transposed to an order that no layer here makes; export "
                "the network without the transpose, or with maps (n, channels, height, width)"
            )
        if not isinstance(node.layer, Linear):
            inputs = [self._reordered(each, order, made) for each in inputs]
        weights = {p: self._weights[f"{node.name}.{p}"][order] for p in node.layer.parameters()}
        made[tensor.name] = self.add(f"{node.name}.reordered", node.layer, *inputs, **weights)
        return made[tensor.name]

    def _unused(self, name: str) -> str:
        plain, count = _plain(name), 1
        unused = plain
        while unused in self._nodes:
            count += 1
            unused = f"{plain}.{count}"
        return unused


def _plain(name: str) -> str:
    """A name as graphs take them; what they do not becomes "_"."""
    return re.sub(r"[^\w./-]", "_", name)[:200] or "_"
