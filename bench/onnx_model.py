"""A network as an ONNX model, for the peers that read it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from onnx import ModelProto

from facegen.graphs import End, GraphNetwork
from facegen.nn import Graph, Tensor
from facegen.onnx_files.write import to_model


def onnx_model(graph: Graph, weights: Mapping[str, np.ndarray], batch: int) -> ModelProto:
    """`graph` as the package writes it, of a fixed batch; all inputs and outputs are NCHW maps.

    Batch norms stay layers: each peer that gains by it folds them into the convolutions before.
    """

    def ends(tensors: tuple[Tensor, ...]) -> tuple[End, ...]:
        return tuple(End(t.name, (t.shape.channels, *t.shape[:2])) for t in tensors)

    network = GraphNetwork(graph, dict(weights), ends(graph.inputs), ends(graph.outputs))
    model = to_model(network)
    for end in (*model.graph.input, *model.graph.output):
        end.type.tensor_type.shape.dim[0].dim_value = batch
    return model
