"""OpenVINO's CPU plugin: one request, or several streams that share the batch and the threads.

On CPUs with AMX or bf16 the plugin computes in bfloat16 unless it is told f32; what is compared
here is the same arithmetic, so it is told.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence

import numpy as np

from bench.layout import nchw, nhwc
from bench.onnx_model import onnx_model
from bench.peers import NotApplicable, stream_count
from facegen.nn import Graph

# Importing OpenVINO reports the import over the network, unless this package cannot be imported.
sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
import openvino  # noqa: E402


class OpenVinoModel:
    def __init__(self, compiled: openvino.CompiledModel, streams: int) -> None:
        self._requests = [compiled.create_infer_request() for _ in range(streams)]
        self._outputs = len(compiled.outputs)
        self.note = f"{streams} streams" if streams > 1 else ""

    def prepare(self, inputs: Sequence[np.ndarray]) -> list[list[np.ndarray]]:
        parts = [np.split(nchw(x), len(self._requests)) for x in inputs]
        return [list(part) for part in zip(*parts, strict=True)]

    def run(self, prepared: list[list[np.ndarray]]) -> list[openvino.InferRequest]:
        for request, inputs in zip(self._requests, prepared, strict=True):
            request.start_async(inputs, share_inputs=True)
        for request in self._requests:
            request.wait()
        return self._requests

    def outputs(self, result: list[openvino.InferRequest]) -> list[np.ndarray]:
        return [
            nhwc(np.concatenate([request.get_output_tensor(i).data for request in result]))
            for i in range(self._outputs)
        ]


def build(
    graph: Graph, weights: Mapping[str, np.ndarray], batch: int, threads: int, variant: str
) -> OpenVinoModel:
    streams = stream_count(batch, threads) if variant == "throughput" else 1
    if variant == "throughput" and streams == 1:
        raise NotApplicable(f"{threads} threads share no batch of {batch} equally")
    core = openvino.Core()
    model = core.read_model(onnx_model(graph, weights, batch // streams).SerializeToString())
    options = {
        "PERFORMANCE_HINT": variant.upper(),
        "INFERENCE_PRECISION_HINT": "f32",
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": streams,
    }
    return OpenVinoModel(core.compile_model(model, "CPU", options), streams)
