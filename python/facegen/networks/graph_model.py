"""Any network, run by what its file says of it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from facegen.graphs import End, GraphNetwork
from facegen.networks.model import Model
from facegen.networks.per_size import PerSize
from facegen.nn import Graph


class GraphModel(Model):
    """A network of any kind: from an ONNX file, from one that `facegen.save` wrote, or a table.

    Parameters
    ----------
    network
        What a file was read as (`facegen.graphs.GraphNetwork`), or a `facegen.nn.Graph`.
    weights
        Of a graph: every entry of ``graph.parameters``.
    device, threads, precision, algorithm
        As for `facegen.load`.

    Attributes
    ----------
    graph, weights
        The network as this package has it; ``print(model.graph)`` is a table.
    inputs, outputs
        Their names and shapes, in the order of the file. A batch may have any size, whatever the
        file says; where heights and widths may, these are those of one example.

    Raises
    ------
    FormatError
        Weights that are not the graph's.
    DeviceError, ValueError
        As for `facegen.load`.

    Examples
    --------
    >>> model = facegen.load("resnet18.onnx")
    >>> model(images)  # (n, 3, 224, 224) -> (n, 1000)
    """

    def __init__(
        self,
        network: GraphNetwork | Graph,
        weights: Mapping[str, np.ndarray] | None = None,
        *,
        device: str = "auto",
        threads: int | None = None,
        precision: str = "float32",
        algorithm: str = "auto",
    ) -> None:
        if isinstance(network, Graph):
            network = GraphNetwork.of(network, weights or {})
        self._per_size = PerSize(self._make)
        self.graph_network = network
        self.graph, self.weights = network.graph, network.weights
        self.inputs, self.outputs = network.inputs, network.outputs
        self._options = {
            "device": device,
            "threads": threads,
            "precision": precision,
            "algorithm": algorithm,
        }
        self._prepare()

    def __call__(self, *inputs: Any, layout: str = "NCHW") -> Any:
        """Run the network on a batch.

        Where heights and widths may be any, the first batch of a size makes the network ready for
        it; the last few sizes are kept.

        Parameters
        ----------
        *inputs
            An array for each input of the file, or one dict of them by their names; NumPy's or any
            that `facegen.engine.Runner` takes.
        layout
            "NCHW": arrays are as the file has them, maps (n, channels, height, width). "NHWC": maps
            are (n, height, width, channels), in and out.

        Returns
        -------
        array or tuple of arrays
            float32, one for each output; a tuple where there are several. What the file only
            reshapes or transposes at its very end is as the file has it in either layout.

        Raises
        ------
        ValueError
            For other names, another number of arrays or another shape.
        """
        if len(inputs) == 1 and isinstance(inputs[0], Mapping):
            inputs = self._by_name(inputs[0])
        fitting = self._fitting(inputs, layout)
        if fitting is not self:
            return fitting(*inputs, layout=layout)
        ins = [_of_one_row(x, end, layout) for x, end in zip(inputs, self.inputs, strict=False)]
        results = self.runner(*ins, *inputs[len(ins) :], layout=layout)
        outs = results if isinstance(results, tuple) else (results,)
        ends = zip(outs, self.outputs, strict=True)
        outs = tuple(_as_in_file(y, end, layout) for y, end in ends)
        return outs[0] if len(outs) == 1 else outs

    def at(self, *shapes: tuple[int, ...]) -> GraphModel:
        """The model for inputs of these shapes, without the batch, channels first.

        Raises
        ------
        ValueError
            The network has other channels, is for one size alone, or cannot be run at this one.
        """
        wanted = tuple(tuple(map(int, shape)) for shape in shapes)
        if wanted == tuple(end.shape for end in self.inputs):
            return self
        if len(wanted) != len(self.inputs) or not all(
            end.fits(shape) for end, shape in zip(self.inputs, wanted, strict=True)
        ):
            expected = ", ".join(map(str, self.inputs))
            raise ValueError(f"expected inputs {expected}, found shapes {wanted}")
        return self._per_size(wanted)

    def _make(self, shapes: tuple[tuple[int, ...], ...]) -> GraphModel:
        assert self.graph_network.at is not None  # what has free axes has it
        return GraphModel(self.graph_network.at(shapes), **self._options)

    def _fitting(self, inputs: Sequence[Any], layout: str) -> GraphModel:
        """The model for what comes; itself also for what does not fit, which its runner refuses."""
        if self.graph_network.at is None or len(inputs) != len(self.inputs):
            return self
        shapes = []
        for x, end in zip(inputs, self.inputs, strict=True):
            shape = tuple(x.shape[1:])
            shapes.append((*shape[-1:], *shape[:-1]) if layout == "NHWC" else shape)
            if not end.fits(shapes[-1]):
                return self
        return self.at(*shapes)

    def __repr__(self) -> str:
        name, device = type(self).__name__, self.runner.device
        ends = [", ".join(map(str, each)) for each in (self.inputs, self.outputs)]
        precision = self._options["precision"]
        return f"<{name} of {self.graph.name}: {ends[0]} -> {ends[1]} on {device}, {precision}>"

    def _graph(self) -> Graph:
        return self.graph

    def _by_name(self, given: Mapping[str, Any]) -> tuple[Any, ...]:
        names = [end.name for end in self.inputs]
        if set(given) != set(names):
            found = ", ".join(map(str, given)) or "none"
            raise ValueError(f"expected the inputs {', '.join(names)}, found {found}")
        return tuple(given[name] for name in names)


def _of_one_row(x: Any, end: End, layout: str) -> Any:
    """(n, channels, width) as a map one pixel high; anything else as it is."""
    shape = end.in_layout(layout)
    if len(shape) != 2 or tuple(x.shape[1:]) != shape:
        return x
    first, last = shape
    return x.reshape(len(x), *((1, first, last) if layout == "NHWC" else (first, 1, last)))


def _as_in_file(y: Any, end: End, layout: str) -> Any:
    """A map of the graph in the shape of the file's output."""
    if end.order is not None:
        y = y.reshape(len(y), math.prod(y.shape[1:]))[:, end.order]  # -1 is none of no rows
    shape = (len(y), *end.in_layout(layout))
    return y if y.shape == shape else y.reshape(shape)
