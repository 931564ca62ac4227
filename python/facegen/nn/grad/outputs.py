"""Which outputs of a graph have a loss, and what that takes of the graph."""

from __future__ import annotations

from collections.abc import Mapping

from facegen.nn.activations import Sigmoid
from facegen.nn.grad.losses import (
    BinaryCrossEntropy,
    CrossEntropy,
    Loss,
    Losses,
    SoftCrossEntropy,
    find_loss,
)
from facegen.nn.graph import Graph
from facegen.nn.layer import Layer
from facegen.nn.layers import Softmax

# Layers that a loss has in itself, where they end the graph.
_INSIDE: dict[type[Loss], type[Layer]] = {
    CrossEntropy: Softmax,
    SoftCrossEntropy: Softmax,
    BinaryCrossEntropy: Sigmoid,
}


def losses_by_output(graph: Graph, loss: Losses) -> dict[str, Loss]:
    """The losses by the outputs that have one; ValueError where a name is of none."""
    outputs = [tensor.name for tensor in graph.outputs]
    if not isinstance(loss, Mapping):
        if len(outputs) != 1:
            raise ValueError(
                f"{graph.name} has {len(outputs)} outputs ({', '.join(outputs)}): losses must be "
                "given by their names"
            )
        return {outputs[0]: find_loss(loss)}
    for name in loss:
        if name not in outputs:
            raise ValueError(
                f"{graph.name} has no output named {name!r}, but: {', '.join(outputs)}"
            )
    if not loss:
        raise ValueError(f"no loss for any of the outputs of {graph.name}: {', '.join(outputs)}")
    return {name: find_loss(each) for name, each in loss.items()}


def prediction(graph: Graph, output: str, loss: Loss) -> str:
    """What a loss takes of an output: what a softmax or sigmoid reads that it has in itself."""
    last = next(node for node in graph.nodes if node.name == output)
    inside = _INSIDE.get(type(loss))
    return last.inputs[0] if inside and isinstance(last.layer, inside) else output
