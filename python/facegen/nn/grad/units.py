"""The layers that are trained, each with the activation that is computed with it."""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence

from facegen.nn.grad.rules import Unit, fuses, is_told_from_output
from facegen.nn.graph import Graph, Node
from facegen.nn.rewrite import count_readers


def live(graph: Graph, outputs: Iterable[str]) -> list[Node]:
    """The nodes that these values depend on, and all inputs, in the graph's order."""
    needed = set(outputs)
    nodes = []
    for node in reversed(graph.nodes):
        if node.name in needed or node.layer is None:
            needed.update(node.inputs)
            nodes.append(node)
    return nodes[::-1]


def fused(nodes: Sequence[Node], outputs: Sequence[str], dropped: Container[str]) -> list[Unit]:
    """Units of all layers, in their order.

    An activation joins the layer before it, where it alone reads that, nothing of it is `dropped`,
    and what it was given need not be kept.
    """
    readers = count_readers(nodes, outputs)
    units: list[Unit] = []
    place: dict[str, int] = {}  # of a fusing layer's unit
    for node in nodes:
        if node.layer is None:
            continue
        source = node.inputs[0]
        if (
            is_told_from_output(node.layer)
            and source in place
            and readers[source] == 1
            and source not in dropped
        ):
            units[place[source]] = Unit(units[place[source]].node, node)
            continue
        if fuses(node.layer):
            place[node.name] = len(units)
        units.append(Unit(node))
    return units
