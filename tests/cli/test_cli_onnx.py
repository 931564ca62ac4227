"""facegen inspect of an ONNX file."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from command_line import Run

from facegen.nn import Conv2d, Graph, ReLU, Shape
from random_weights import random_weights


@pytest.fixture
def edges(tmp_path: Path) -> Path:
    onnx = pytest.importorskip("onnx", reason="onnx is not installed")
    from bench.onnx_model import onnx_model

    graph = Graph("edges")
    x = graph.add("conv", Conv2d(3, 4, 3, padding=1), graph.input("image", Shape(8, 8, 3)))
    graph.output(graph.add("relu", ReLU(), x))
    onnx.save(onnx_model(graph, random_weights(graph, np.random.default_rng(1)), 1), "edges.onnx")
    return tmp_path / "edges.onnx"


def test_inspect(run: Run, edges: Path) -> None:
    result = run("inspect", edges)
    assert result.code == 0
    for text in ("image (n, 3, 8, 8)", "relu (n, 4, 8, 8)", "Conv2d", "112 parameters", "FLOP"):
        assert text in result.out
    assert run("inspect", "edges.onnx", "--json", "report.json").code == 0
    report = json.loads(Path("report.json").read_text())
    assert report["format"] == "ONNX" and report["parameters"] == 112
    assert report["inputs"] == [{"name": "image", "shape": [3, 8, 8]}]
    assert [layer["kind"] for layer in report["layers"]] == ["Conv2d", "ReLU"]
    assert run("inspect", "no.onnx") == (
        2,
        "",
        "facegen: error: no.onnx: No such file or directory\n",
    )
