"""Whether a run of training can fit the machine, told before anything is read or drawn."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from facegen.engine.device import CPU
from facegen.engine.memory import check_memory
from facegen.nn import Graph
from facegen.train.ahead import AHEAD

_KEPT = 4  # weights, gradients and two moments
_DRAWN = 2  # weights are drawn in float64


def check_run(
    graphs: Sequence[Graph], batch: int, sample_floats: int, device: str = CPU
) -> None:
    """Refuse what can never fit.

    Parameters
    ----------
    graphs
        All that is trained at once.
    sample_floats
        Of what is read for one image.
    device
        Where it is trained. A GPU's memory has the values of a batch; that is asked by the step.

    Raises
    ------
    OutOfMemory
        Weights, the values of a batch with their gradients, and the batches that are read ahead
        take more than the machine, or its container, has.
    """
    parameters = sum(prod(shape) for graph in graphs for shape in graph.parameters.values())
    nodes = [node for graph in graphs for node in graph.nodes] if device == CPU else []
    values = 2 * sum(node.shape.floats for node in nodes)
    image = values + (AHEAD + 1) * sample_floats
    needed = 4 * ((_KEPT + _DRAWN) * parameters + batch * image)
    names = " and ".join(graph.name for graph in graphs)
    check_memory(needed, f"training {names} with {batch:,} images a step")
