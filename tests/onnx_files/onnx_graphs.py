"""Small ONNX models, and what onnx's own evaluator makes of them in float64."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

import facegen

onnx = pytest.importorskip("onnx", reason="onnx is not installed")
helper, numpy_helper, TensorProto = onnx.helper, onnx.numpy_helper, onnx.TensorProto


class Op(NamedTuple):
    kind: str
    inputs: Sequence[str]
    output: str
    attributes: Mapping[str, Any] = {}


def op(kind: str, inputs: str, output: str, **attributes: Any) -> Op:
    """Inputs by their names, parted by spaces; "-" for one that is left out."""
    return Op(kind, ["" if name == "-" else name for name in inputs.split()], output, attributes)


def make(
    ops: Sequence[Op],
    inputs: Mapping[str, Sequence[int | str]],
    outputs: Mapping[str, int],
    constants: Mapping[str, np.ndarray] | None = None,
    opset: int = 17,
) -> Any:
    """A model whose inputs have the shapes given, and whose outputs so many dimensions."""
    body = helper.make_graph(
        [helper.make_node(o.kind, o.inputs, [o.output], o.output, **o.attributes) for o in ops],
        "small",
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in inputs.items()],
        [
            helper.make_tensor_value_info(n, TensorProto.FLOAT, [None] * r)
            for n, r in outputs.items()
        ],
        [numpy_helper.from_array(array, name) for name, array in (constants or {}).items()],
    )
    return helper.make_model(body, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def save(folder: Path, model: Any) -> Path:
    path = folder / "model.onnx"
    onnx.save(model, path)
    return path


def evaluate(model: Any, *xs: np.ndarray, magnitudes: bool = False) -> list[np.ndarray]:
    """All outputs in float64; of the absolute values of all numbers if `magnitudes`."""
    from onnx.reference import ReferenceEvaluator

    double = onnx.ModelProto()
    double.CopyFrom(model)
    for tensor in double.graph.initializer:
        if tensor.data_type in (TensorProto.FLOAT, TensorProto.FLOAT16):
            array = numpy_helper.to_array(tensor).astype(np.float64)
            array = np.abs(array) if magnitudes else array
            tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
    for end in (*double.graph.input, *double.graph.output):
        end.type.tensor_type.elem_type = TensorProto.DOUBLE
    xs = tuple(np.abs(x) if magnitudes else x for x in xs)
    names = [end.name for end in double.graph.input]
    given = {n: x.astype(np.float64) for n, x in zip(names, xs, strict=True)}
    return ReferenceEvaluator(double).run(None, given)


def run(folder: Path, model: Any, *xs: np.ndarray) -> list[np.ndarray]:
    """All outputs by this package: the very products, so that tolerances are simple."""
    loaded = facegen.load(save(folder, model), device="cpu", threads=1, algorithm="direct")
    found = loaded(*xs)
    return list(found) if isinstance(found, tuple) else [found]
