"""This package: as it comes, and held to plain float32 multiply-adds.

default: the best instruction set and algorithm; on processors with AMX that is products of
8-bit digits, to the accuracy of float32. strict: float32 multiply-adds of the direct algorithm, the
arithmetic that the peers are held to as well. ``FACEGEN_ISA`` applies to both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from facegen.engine import Runner
from facegen.nn import Graph, lower


class OurModel:
    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self.note = runner.isa

    def prepare(self, inputs: Sequence[np.ndarray]) -> Sequence[np.ndarray]:
        return inputs

    def run(self, prepared: Sequence[np.ndarray]) -> np.ndarray | tuple[np.ndarray, ...]:
        return self._runner(*prepared)

    def outputs(self, result: np.ndarray | tuple[np.ndarray, ...]) -> list[np.ndarray]:
        return list(result) if isinstance(result, tuple) else [result]


def build(
    graph: Graph, weights: Mapping[str, np.ndarray], batch: int, threads: int, variant: str
) -> OurModel:
    if variant == "strict":
        program = lower(graph, weights, "direct")
        return OurModel(Runner(program, threads=threads, precision="strict"))
    return OurModel(Runner(lower(graph, weights), threads=threads))
