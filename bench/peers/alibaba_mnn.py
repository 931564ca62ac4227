"""MNN on the CPU, from ONNX by its own converter: one session of float32.

Its command `mnnconvert` reports each conversion over the network; the function behind it does not.
Inputs go from an array into the session's own layout in the time that is measured, as there is no
other way to change them. Its tanh is off by up to 3e-3 behind several layers (ESPCN), with high
precision too: networks with one may fail the comparison, and are not timed then.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import _tools
import MNN
import numpy as np

from bench.layout import nchw, nhwc
from bench.onnx_model import onnx_model
from facegen.nn import Graph


class MnnModel:
    note = ""

    def __init__(self, path: Path, graph: Graph, threads: int) -> None:
        self._interpreter = MNN.Interpreter(str(path))
        config = {"backend": "CPU", "precision": "high", "numThread": threads}
        self._session = self._interpreter.createSession(config)
        inputs = self._interpreter.getSessionInputAll(self._session)
        outputs = self._interpreter.getSessionOutputAll(self._session)
        self._inputs = [inputs[tensor.name] for tensor in graph.inputs]
        self._outputs = [outputs[tensor.name] for tensor in graph.outputs]

    def prepare(self, inputs: Sequence[np.ndarray]) -> list[MNN.Tensor]:
        return [_tensor(nchw(x)) for x in inputs]

    def run(self, prepared: list[MNN.Tensor]) -> None:
        for tensor, x in zip(self._inputs, prepared, strict=True):
            tensor.copyFrom(x)
        self._interpreter.runSession(self._session)

    def outputs(self, result: None) -> list[np.ndarray]:
        arrays = []
        for output in self._outputs:
            host = _tensor(np.empty(output.getShape(), np.float32))
            output.copyToHostTensor(host)
            arrays.append(nhwc(np.array(host.getNumpyData())))
        return arrays


def _tensor(x: np.ndarray) -> MNN.Tensor:
    """(n, c, h, w) on the host."""
    return MNN.Tensor(x.shape, MNN.Halide_Type_Float, x, MNN.Tensor_DimensionType_Caffe)


def build(
    graph: Graph, weights: Mapping[str, np.ndarray], batch: int, threads: int, variant: str
) -> MnnModel:
    with tempfile.TemporaryDirectory() as folder:
        source, path = Path(folder, "net.onnx"), Path(folder, "net.mnn")
        source.write_bytes(onnx_model(graph, weights, batch).SerializeToString())
        words = ["-f", "ONNX", "--modelFile", str(source), "--MNNModel", str(path)]
        _tools.mnnconvert(["mnnconvert", *words])
        return MnnModel(path, graph, threads)
