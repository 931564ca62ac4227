"""What a network costs by counting alone: nothing is computed and no memory is taken.

A multiply-add is two operations (FLOPs). Papers count one for each tap of a window at each output,
also where it lies on the padding; `Graph.flops` leaves those out. Both are here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from facegen.lab.fields import Fields, receptive_fields
from facegen.nn import (
    Affine,
    BatchNorm,
    Channels,
    ConvTranspose2d,
    Graph,
    Layer,
    LogSoftmax,
    Reshape,
    Shape,
    Softmax,
)
from facegen.nn.activations import Activation
from facegen.nn.gemm_layers import GemmLayer
from facegen.nn.layers import StatisticsNorm

FLOAT_BYTES = 4
# What can be done where its input lies, or is a view of it: no map of its own is needed.
_IN_PLACE = (
    Activation, Affine, BatchNorm, Channels, LogSoftmax, Reshape, Softmax, StatisticsNorm,
)  # fmt: skip


@dataclass(frozen=True)
class LayerCost:
    """Of one layer and one image.

    Attributes
    ----------
    kind
        As "conv 3x3/2" or "max pool 2x2".
    multiply_adds
        By the definition: taps on padding count too.
    inside
        Of them, those on pixels of the input.
    map_bytes
        Of its output in float32; 0 where that needs no memory of its own.
    moved_bytes
        Read and written at least, in float32: inputs, parameters, output.
    field
        Receptive field of its output.
    """

    name: str
    kind: str
    output: Shape
    parameters: int
    multiply_adds: int
    inside: int
    map_bytes: int
    moved_bytes: int
    field: Fields

    @property
    def intensity(self) -> float:
        """Operations a byte moved: below the machine's balance, memory is what is waited for."""
        return 2 * self.multiply_adds / self.moved_bytes


@dataclass(frozen=True)
class Cost:
    """Of a network, layer by layer, and in all."""

    name: str
    layers: tuple[LayerCost, ...]
    input_bytes: int
    field: Fields  # of its first output

    @property
    def parameters(self) -> int:
        return sum(each.parameters for each in self.layers)

    @property
    def multiply_adds(self) -> int:
        return sum(each.multiply_adds for each in self.layers)

    @property
    def inside(self) -> int:
        return sum(each.inside for each in self.layers)

    @property
    def map_bytes(self) -> int:
        """All maps, the input with them: what training keeps of one image."""
        return self.input_bytes + sum(each.map_bytes for each in self.layers)

    @property
    def weight_bytes(self) -> int:
        return FLOAT_BYTES * self.parameters

    @property
    def depth(self) -> int:
        """Layers with products."""
        return sum(each.multiply_adds > 0 for each in self.layers)


def cost(graph: Graph) -> Cost:
    """What a graph costs.

    Parameters
    ----------
    graph
        Any, with at least one output.

    Returns
    -------
    Cost
        Its parameters are `graph.parameter_count`, and what is `inside` is half of `graph.flops`.
    """
    fields = receptive_fields(graph)
    shapes = {node.name: node.shape for node in graph.nodes}
    layers = []
    for node in graph.nodes:
        if node.layer is None:
            continue
        inputs = [shapes[name] for name in node.inputs]
        parameters = sum(math.prod(shape) for shape in node.layer.parameters().values())
        floats = 0 if isinstance(node.layer, _IN_PLACE) else node.shape.floats
        moved = sum(shape.floats for shape in (*inputs, node.shape)) + parameters
        layers.append(
            LayerCost(
                name=node.name,
                kind=kind(node.layer),
                output=node.shape,
                parameters=parameters,
                multiply_adds=multiply_adds(node.layer, inputs),
                inside=node.layer.flops(*inputs) // 2,
                map_bytes=FLOAT_BYTES * floats,
                moved_bytes=FLOAT_BYTES * moved,
                field=fields[node.name],
            )
        )
    inputs_bytes = FLOAT_BYTES * sum(tensor.shape.floats for tensor in graph.inputs)
    return Cost(graph.name, tuple(layers), inputs_bytes, fields[graph.outputs[0].name])


def multiply_adds(layer: Layer, inputs: Sequence[Shape]) -> int:
    """Of one image, by the definition: every tap of every window, on the padding too.

    Of a transposed convolution a window lies around every input instead of every output.
    """
    if not isinstance(layer, GemmLayer):
        return 0
    (x,) = inputs
    windows = x if isinstance(layer, ConvTranspose2d) else layer.output_shape(x)
    taps = math.prod(layer.kernel_size)
    products = layer.in_channels // layer.groups * layer.out_channels
    return windows.height * windows.width * taps * products


def kind(layer: Layer) -> str:
    """In words: "conv 3x3/2", "depthwise 3x3", "max pool 2x2"."""
    words = {
        "Conv2d": "depthwise" if getattr(layer, "is_depthwise", False) else "conv",
        "ConvTranspose2d": "conv transposed", "Linear": "linear", "MaxPool2d": "max pool",
        "AvgPool2d": "avg pool", "GlobalAvgPool2d": "mean of map",
    }  # fmt: skip
    name = type(layer).__name__
    text = words.get(name, name)
    if name == "Linear" or not hasattr(layer, "axes"):
        return text
    vertical, horizontal = layer.axes
    text += f" {vertical.kernel}x{horizontal.kernel}"
    if (vertical.stride, horizontal.stride) != (1, 1):
        same = vertical.stride == horizontal.stride
        text += f"/{vertical.stride}" if same else f"/{vertical.stride}x{horizontal.stride}"
    if vertical.dilation > 1:
        text += f" dilated {vertical.dilation}"
    groups = getattr(layer, "groups", 1)
    return f"{text}, {groups} groups" if groups > 1 and not text.startswith("depth") else text
