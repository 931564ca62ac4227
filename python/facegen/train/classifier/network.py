"""A network of other classes: all up to its last layer, and a new one for the classes at hand.

The new head is a mean over the map, a linear layer and a softmax. Where the old one was a 1x1
convolution in front of the mean, as in SqueezeNet, that is the same function of fewer numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from facegen.errors import FormatError
from facegen.graphs import GraphNetwork
from facegen.networks.network import Network
from facegen.nn import (
    Conv2d,
    GlobalAvgPool2d,
    Graph,
    Linear,
    Reshape,
    Shape,
    Softmax,
)
from facegen.photos.preparation import CROP, Preparation

HEAD = "classes"
# Of R, G, B of 0 to 1: what most networks of ImageNet were trained with.
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


@dataclass(frozen=True)
class Start:
    """What training begins with: a graph that ends with the new head, `HEAD`, and its weights."""

    graph: Graph
    weights: dict[str, np.ndarray]
    preparation: Preparation
    known: bool  # how pictures are prepared is known, and not assumed


def with_head(graph: Graph, classes: int) -> Graph:
    """A graph whose last layer with weights, and all behind it, is a new head.

    Raises
    ------
    FormatError
        The network has several inputs or outputs, or another layer with weights, or several maps
        that meet, between its last linear layer or convolution and its output.
    """
    if len(graph.inputs) != 1 or len(graph.outputs) != 1:
        raise FormatError(
            f"{graph.name}: expected one input and one output, found {len(graph.inputs)} and "
            f"{len(graph.outputs)}"
        )
    nodes = {node.name: node for node in graph.nodes}
    node = nodes[graph.outputs[0].name]
    while not isinstance(node.layer, Conv2d | Linear):
        if node.layer is None or len(node.inputs) != 1 or node.layer.parameters():
            kind = "its input" if node.layer is None else type(node.layer).__name__
            raise FormatError(
                f"{graph.name}: expected a network that ends with the scores of a linear layer or "
                f"a convolution, found {kind} ({node.name})"
            )
        node = nodes[node.inputs[0]]
    kept = _needed(graph, node.inputs[0])
    own = Graph(f"{graph.name} of own classes")
    placed = {}
    for each in graph.nodes:
        if each.name not in kept:
            continue
        if each.layer is None:
            placed[each.name] = own.input(each.name, each.shape)
        else:
            inputs = [placed[name] for name in each.inputs]
            placed[each.name] = own.add(each.name, each.layer, *inputs)
    x = placed[node.inputs[0]]
    taken = set(placed)
    if x.shape[:2] != (1, 1):
        # A linear layer that reads a map reads all its pixels.
        pooled = not isinstance(node.layer, Linear)
        layer = GlobalAvgPool2d() if pooled else Reshape(Shape(1, 1, x.shape.floats))
        x = own.add(_free("mean", taken), layer, x)
    x = own.add(_free(HEAD, taken), Linear(x.shape.channels, classes), x)
    own.output(own.add(_free("probabilities", taken), Softmax(), x))
    return own


def head_of(graph: Graph) -> str:
    """The name of the head's linear layer."""
    return [node.name for node in graph.nodes if isinstance(node.layer, Linear)][-1]


def start(found: GraphNetwork, known: Network | None, classes: int) -> Start:
    """What training begins with, of a network from a file; the head is all zeros.

    `known` is the network that it is, where it is a known classifier; of others pictures are taken
    to be prepared as torchvision does.
    """
    graph = with_head(found.graph, classes)
    weights = {name: np.zeros(shape, np.float32) for name, shape in graph.parameters.items()}
    head = head_of(graph)
    for name in weights:
        if name.rpartition(".")[0] != head:
            weights[name] = np.array(found.weights[name])
    height, width, channels = graph.inputs[0].shape
    if found.preparation is not None:
        return Start(graph, weights, found.preparation, known=True)
    if known is not None and known.prepare is not None:
        low, slope = _measured(known.prepare)
        mean, std = tuple(-low / slope), tuple(1 / slope)
        return Start(
            graph, weights, Preparation(height, width, channels, mean=mean, std=std, fit=CROP), True
        )
    mean, std = IMAGENET if channels == 3 else ((0.5,), (0.5,))
    try:
        preparation = Preparation(height, width, channels, mean=mean, std=std, fit=CROP)
    except ValueError as error:
        raise FormatError(f"{found.graph.name}: {error}") from None
    return Start(graph, weights, preparation, known=False)


def _measured(prepare: Callable[..., np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """What a network takes of black, by channel, and by how much more of white."""
    pictures = (np.full((256, 256, 3), value, np.uint8) for value in (0, 255))
    black, white = (prepare(picture)[0, 0].astype(np.float64) for picture in pictures)
    return black, white - black


def _needed(graph: Graph, name: str) -> set[str]:
    needed = {name}
    for node in reversed(graph.nodes):
        if node.name in needed:
            needed |= set(node.inputs)
    return needed | {tensor.name for tensor in graph.inputs}


def _free(name: str, taken: set[str]) -> str:
    while name in taken:
        name += "_"
    return name
