"""Whether a run of training can fit the machine, told before anything is read or drawn."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from facegen import processors, system
from facegen.engine.device import CPU
from facegen.engine.memory import check_memory
from facegen.nn import Graph

AHEAD = 4  # batches that are read before they are needed, at least: see `Loop`
_READ_SHARE = 8  # of the memory that there is, what is read ahead for a GPU takes one part
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


def batches_ahead(device: str, threads: int | None, batch_floats: int) -> int:
    """Batches of so many numbers that are read before they are needed.

    A thread reads each. Beside a GPU all of the CPU's are free for that, and needed: one decodes
    some hundred pictures a second, of the thousands that are learned.
    """
    if device == CPU:
        return AHEAD
    there = system.memory_bytes()
    most = processors.count() if threads is None else threads
    if there is not None:
        most = min(most, there // (_READ_SHARE * 4 * batch_floats))
    return max(AHEAD, most)
