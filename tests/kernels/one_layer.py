"""One layer through lowering and the native engine, on a chosen engine (see tests/engines.py)."""

from __future__ import annotations

import numpy as np
import pytest

from engines import CPU_GEMM_ENGINES, ENGINES, GEMM_ENGINES, ISAS, run_program
from facegen.nn import Graph, Layer, Shape, lower

GUARD = 64  # floats before and after every array
CANARY = np.float32(-7.25e30)

every_isa = pytest.mark.parametrize("isa", ENGINES)
every_gemm = pytest.mark.parametrize("isa", GEMM_ENGINES)
every_engine = pytest.mark.parametrize(
    ("isa", "threads"),
    [
        *((isa, threads) for isa in ISAS for threads in (1, 2)),
        pytest.param("cuda auto float32", 1, marks=pytest.mark.cuda),
    ],
)
every_gemm_engine = pytest.mark.parametrize(
    ("isa", "threads"),
    [
        *((isa, threads) for isa in CPU_GEMM_ENGINES for threads in (1, 2)),
        *(
            pytest.param(engine.values[0], 1, marks=pytest.mark.cuda)
            for engine in GEMM_ENGINES[len(CPU_GEMM_ENGINES) :]
        ),
    ],
)


def draw(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def draw_weights(layer: Layer, seed: int = 1) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {
        name: rng.standard_normal(shape).astype(np.float32)
        for name, shape in layer.parameters().items()
    }


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
    graph = Graph.of_layer("one layer", layer, *(Shape(*x.shape[1:]) for x in inputs))
    named = {f"layer.{name}": value for name, value in (weights or {}).items()}
    program = lower(graph, named, algorithm)

    padded = [_between(x, np.float32(np.nan)) for x in inputs]
    shape = (len(inputs[0]), *graph.outputs[0].shape)
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
