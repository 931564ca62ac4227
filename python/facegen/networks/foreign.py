"""A graph's tensors as other programs name them and lay them out."""

from __future__ import annotations

from collections.abc import Callable

from facegen.nn import ConvTranspose2d, Graph
from facegen.nn.layers import Layer
from facegen.weights.checks import Shape
from facegen.weights.layout import Entry

# A batch norm's parameters; what is not here has the same name in PyTorch.
TORCH_PARAMETERS = {
    "gamma": "weight",
    "beta": "bias",
    "mean": "running_mean",
    "var": "running_var",
}


def foreign_layout(g: Graph, rename: Callable[[str, str], str]) -> dict[str, Entry]:
    """Tensors as Caffe and PyTorch lay them out; `rename(layer, parameter)` is a name there."""
    layout = {}
    for node in g.nodes:
        if node.layer is None:
            continue
        for parameter, shape in node.layer.parameters().items():
            name = f"{node.name}.{parameter}"
            layout[rename(node.name, parameter)] = _entry(name, node.layer, shape)
    return layout


def _entry(name: str, layer: Layer, shape: Shape) -> Entry:
    if len(shape) == 4:
        k, r, s, c = shape
        if isinstance(layer, ConvTranspose2d):
            return Entry(name, (c, k, r, s), (1, 2, 3, 0))
        return Entry(name, (k, c, r, s), (0, 2, 3, 1))
    return Entry(name, shape, tuple(range(len(shape))))


def torch_name(layer: str, parameter: str) -> str:
    """Of a layer that has its module's name: bn1.running_mean."""
    return f"{layer}.{TORCH_PARAMETERS.get(parameter, parameter)}"
