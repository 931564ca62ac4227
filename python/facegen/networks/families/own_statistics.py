"""Norms by a picture's own statistics, in files that call them instance norm or batch norm.

PyTorch's instance norm has no parameters, or only running statistics (up to PyTorch 0.3, which
nobody used); batch norm has scale and shift, and statistics of its training.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from facegen.networks.foreign import foreign_layout, torch_name
from facegen.nn import Graph, InstanceNorm
from facegen.weights.checks import Shape
from facegen.weights.layout import Entry

_STATISTICS = {"running_mean": 0.0, "running_var": 1.0}


def layout_of(g: Graph, shapes: Mapping[str, Shape]) -> dict[str, Entry]:
    """The tensors of a state_dict with these names: a norm's where it has them."""
    layout = foreign_layout(g, torch_name)
    for node in g.nodes:
        if not isinstance(node.layer, InstanceNorm):
            continue
        size = (node.layer.channels,)
        if f"{node.name}.weight" not in shapes and f"{node.name}.bias" not in shapes:
            del layout[f"{node.name}.weight"], layout[f"{node.name}.bias"]
        for statistic, constant in _STATISTICS.items():
            name = f"{node.name}.{statistic}"
            if name in shapes:
                layout[name] = Entry(name, size, (0,), constant)
    return layout


def norm_added(g: Graph, weights: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The weights with a scale of 1 and a shift of 0 for norms that have none."""
    added = {
        name: np.full(shape, 1 if name.endswith(".gamma") else 0, np.float32)
        for name, shape in g.parameters.items()
        if name.endswith((".gamma", ".beta"))
    }
    return added | weights
