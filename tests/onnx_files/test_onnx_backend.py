"""The package onnx's own tests of operators: its backend node tests, with their data.

Each is one node. What is constant in files of networks (weights, axes, sizes) is an input there: it
becomes an initialiser here. Every test of an operator that is read either passes, or is refused for
one of the reasons below, which are all that there are.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import facegen
from facegen import FormatError
from facegen.onnx_files.operators import OPERATORS

onnx = pytest.importorskip("onnx", reason="onnx is not installed")

# Tests of operators that are read here, and that are refused: a pattern of their names, and what is
# said. Other element types, which our networks have not, make most of them.
REFUSED = {}


@cache
def cases() -> dict[str, Any]:
    """The node tests of operators that are read, by their names."""
    from onnx.backend.test.case.node import collect_testcases

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of dividing by zero, on purpose
        found = collect_testcases(None)
    return {
        case.name: case
        for case in found
        if "_expanded" not in case.name and len(case.model.graph.node) == 1
        if case.model.graph.node[0].op_type in OPERATORS
        if case.model.graph.node[0].domain in ("", "ai.onnx")
    }


def outcome(folder: Path, case: Any) -> tuple[str, str]:
    """("passed" or "refused" or "wrong", why)."""
    inputs, wanted = case.data_sets[0]
    said = ""
    for model, xs in _as_files(case.model, inputs):
        path = folder / "case.onnx"
        onnx.save(model, path)
        try:
            loaded = facegen.load(path, device="cpu", precision="strict", algorithm="direct")
        except FormatError as error:
            said = said or str(error).removeprefix(f"{path}: ")
            continue
        found = loaded(*xs)
        return _compared(found if isinstance(found, tuple) else (found,), wanted, case)
    return "refused", said


def _as_files(model: Any, values: Any) -> Iterator[tuple[Any, list[np.ndarray]]]:
    """The model with its inputs from the second on as constants; then with none; then the first."""
    names = [end.name for end in model.graph.input]
    values = [_array(value) for value in values]
    for kept in dict.fromkeys((tuple(names[:1]), tuple(names), tuple(names[1:2]))):
        changed = onnx.ModelProto()
        changed.CopyFrom(model)
        del changed.graph.input[:]
        xs = []
        for end, value in zip(model.graph.input, values, strict=True):
            if end.name in kept:
                changed.graph.input.append(end)
                xs.append(value)
            elif value is not None:
                tensor = onnx.numpy_helper.from_array(value, end.name)
                changed.graph.initializer.append(tensor)
        yield changed, xs


def _array(value: Any) -> Any:
    """Of a tensor of ONNX what NumPy has for it; None of what is no tensor."""
    if isinstance(value, onnx.TensorProto):
        value = onnx.numpy_helper.to_array(value)
    if getattr(value, "dtype", None) is not None and value.dtype.name == "bfloat16":
        return value.astype(np.float32)  # which NumPy itself has not
    return value if isinstance(value, np.ndarray | np.generic) else None


def _compared(found: Any, wanted: Any, case: Any) -> tuple[str, str]:
    for a, b in zip(found, wanted, strict=True):
        b = np.asarray(_array(b))
        if a.shape != b.shape:
            return "wrong", f"shape {a.shape}, expected {b.shape}"
        tolerance = max(case.rtol, 1e-5)  # float32's; of halves what the case says
        if not np.allclose(a, b.astype(np.float64), tolerance, tolerance, equal_nan=True):
            return "wrong", f"off by {np.abs(a - b).max():.3g}"
    return "passed", ""
