"""The package onnx's own tests of operators: its backend node tests, with their data.

Each is one node. What is constant in files of networks (weights, axes, sizes) is an input there: it
becomes an initialiser here. Every test of an operator that is read either passes, or is refused for
one of the reasons below, which are all that there are.
"""

from __future__ import annotations

import warnings
from functools import cache
from typing import Any

import pytest

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
