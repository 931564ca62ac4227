"""One layer through lowering and the native engine, on a chosen engine (see tests/engines.py)."""

from __future__ import annotations

import numpy as np

from engines import ISAS, run_program
from facegen.nn import Graph, Layer, Shape, lower

GUARD = 64  # floats before and after every array
CANARY = np.float32(-7.25e30)


def run_layer(
    layer: Layer,
    *inputs: np.ndarray,
    weights: dict[str, np.ndarray] | None = None,
    isa: str = ISAS[0],
    threads: int = 1,
    algorithm: str = "auto",
) -> np.ndarray:
    """The layer on maps (n, h, w, c).

    Inputs lie between NaNs, so that a read outside shows; the output starts as NaN between
    canaries, so that a missing write and one outside show.
    """
    graph = Graph("one layer")
    tensors = [graph.input(f"x{i}", Shape(*x.shape[1:])) for i, x in enumerate(inputs)]
    y = graph.add("layer", layer, *tensors)
    graph.output(y)
    named = {f"layer.{name}": value for name, value in (weights or {}).items()}
    program = lower(graph, named, algorithm)

    padded = [_between(x, np.float32(np.nan)) for x in inputs]
    shape = (len(inputs[0]), *y.shape)
    memory, output = _between(np.full(shape, np.nan, np.float32), CANARY)
    run_program(program, [x for _, x in padded], [output], isa, threads)
    guards = np.concatenate([memory[:GUARD], memory[-GUARD:]])
    assert (guards == CANARY).all(), "the engine wrote outside its output"
    return output


def _between(values: np.ndarray, guard: np.float32) -> tuple[np.ndarray, np.ndarray]:
    """A copy of `values` with guards on both sides: the whole memory, and the copy within."""
    memory = np.full(values.size + 2 * GUARD, guard, np.float32)
    inner = memory[GUARD : GUARD + values.size].reshape(values.shape)
    inner[...] = values
    return memory, inner
