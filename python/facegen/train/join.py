"""Two networks as one: what the first gives is what the second takes."""

from __future__ import annotations

from facegen.nn import Graph
from facegen.nn.graph import Tensor


def join(first: Graph, second: Graph, name: str | None = None) -> Graph:
    """A graph that computes ``second(first(x))``, its layers named as theirs.

    For a generator that learns through a discriminator, whose layers are then frozen; the trainers
    of both share the arrays of the weights.

    Raises
    ------
    ValueError
        Where either has not one output, the second not one input of that shape, or both have a
        layer of one name.
    """
    joined = Graph(name or f"{first.name}+{second.name}")
    (output,), (given,) = _one(first, "output"), _one(second, "input")
    _one(second, "output")
    if output.shape != given.shape:
        raise ValueError(
            f"{first.name} gives {output.shape}, but {second.name} takes {given.shape}"
        )
    placed: dict[str, Tensor] = {}
    for graph in (first, second):
        for node in graph.nodes:
            if graph is second and node.layer is None:
                placed[node.name] = placed[output.name]
            elif node.layer is None:
                placed[node.name] = joined.input(node.name, node.shape)
            else:
                inputs = [placed[source] for source in node.inputs]
                placed[node.name] = joined.add(node.name, node.layer, *inputs)
    joined.output(placed[second.outputs[0].name])
    return joined


def _one(graph: Graph, kind: str) -> tuple[Tensor, ...]:
    tensors = graph.outputs if kind == "output" else graph.inputs
    if len(tensors) != 1:
        raise ValueError(f"{graph.name} has {len(tensors)} {kind}s, joining takes 1")
    return tensors
