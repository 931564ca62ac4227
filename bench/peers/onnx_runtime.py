"""ONNX Runtime's CPU provider: one session, or several that share the batch and the threads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnxruntime

from bench.layout import nchw, nhwc
from bench.onnx_model import onnx_model
from bench.peers import NotApplicable, stream_count
from facegen.nn import Graph

Feed = dict[str, np.ndarray]


class OrtModel:
    def __init__(self, sessions: Sequence[onnxruntime.InferenceSession], note: str) -> None:
        self._sessions = sessions
        self._names = [value.name for value in sessions[0].get_inputs()]
        self._pool = ThreadPoolExecutor(len(sessions))
        self.note = note

    def prepare(self, inputs: Sequence[np.ndarray]) -> list[Feed]:
        parts = [np.split(nchw(x), len(self._sessions)) for x in inputs]
        return [dict(zip(self._names, part, strict=True)) for part in zip(*parts, strict=True)]

    def run(self, prepared: list[Feed]) -> list[list[np.ndarray]]:
        if len(prepared) == 1:
            return [self._sessions[0].run(None, prepared[0])]
        runs = [session.run for session in self._sessions]
        return list(self._pool.map(lambda run, feed: run(None, feed), runs, prepared))

    def outputs(self, result: list[list[np.ndarray]]) -> list[np.ndarray]:
        return [nhwc(np.concatenate(parts)) for parts in zip(*result, strict=True)]


def build(
    graph: Graph, weights: Mapping[str, np.ndarray], batch: int, threads: int, variant: str
) -> OrtModel:
    streams = stream_count(batch, threads) if variant == "throughput" else 1
    if variant == "throughput" and streams == 1:
        raise NotApplicable(f"{threads} threads share no batch of {batch} equally")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads // streams
    options.inter_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    model = onnx_model(graph, weights, batch // streams).SerializeToString()
    sessions = [
        onnxruntime.InferenceSession(model, options, ["CPUExecutionProvider"])
        for _ in range(streams)
    ]
    return OrtModel(sessions, f"{streams} sessions" if streams > 1 else "")
