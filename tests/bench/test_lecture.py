"""python -m bench.lecture: its layers and tables, and a small run on the CPU."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="PyTorch is not installed")

from bench.gpu.report import Cell, Row
from bench.lecture.__main__ import main
from bench.lecture.layers import LAYERS, layers_tables, ways
from facegen.nn import Conv2d


def test_layers_are_those_of_the_network() -> None:
    """19 layers with weights are 16 convolutions and 3 linear ones; 39 GFLOP an image."""
    assert sum(layer.count for layer in LAYERS) == 16
    assert sum(layer.count * layer.gflop for layer in LAYERS) == pytest.approx(39.04, rel=1e-3)
    for layer in LAYERS:
        graph = layer.workload.graph
        (conv,) = (node for node in graph.nodes if node.layer is not None)
        assert isinstance(conv.layer, Conv2d)
        assert conv.shape == (layer.side, layer.side, layer.out_channels)
        assert 0.85 * layer.gflop < graph.flops / 1e9 <= layer.gflop  # less what reads padding


def test_direct_is_measured_where_another_algorithm_is_chosen() -> None:
    assert ways(["float32", "tf32"], "cuda:0")[0] == ("float32", "auto")
    assert ("strict", "direct") in ways(["strict"], "cpu")  # Winograd otherwise


def test_effective_tflops() -> None:
    """Of PyTorch the better layout; a batch that was not measured has no figure."""
    layer = LAYERS[1]

    def row(label: str, seconds: float) -> Row:
        return Row(label, "fp32", 1, seconds, None, 1e-5)

    rows = (row("facegen float32", 0.001), row("PyTorch fp32 graph", 0.004),
            row("PyTorch fp32 graph_nchw", 0.002))  # fmt: skip
    cells = {(layer.name, 2): Cell("vgg_e", 2, layer.gflop, 0, 0, rows, ("facegen tf32: none",))}
    parts = layers_tables(cells, [layer], [1, 2])
    tflops = 2 * layer.gflop / 1e3
    assert parts[1].splitlines()[2:] == [
        f"| facegen float32 | – | {tflops / 0.001:.3g} | 1e-05 |",
        f"| PyTorch fp32 | – | {tflops / 0.002:.3g} | 1e-05 |",
    ]
    assert parts[-1] == "- facegen tf32: none"


def test_small_run_on_the_cpu(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = (
        "--device cpu --networks lenet --images 2 --layers conv5 --batches 1 "
        f"--minutes 9 --output {tmp_path}"
    )
    assert main(words.split()) == 0
    shown, written = capsys.readouterr().out, (tmp_path / "lecture.md").read_text()
    assert shown.split() == written.split()
    figures = json.loads((tmp_path / "lecture.json").read_text())
    (network,), (layer,) = figures["networks"], figures["layers"]
    assert {"facegen float32", "facegen strict"} <= {r["label"] for r in network["forward"]["rows"]}
    for row in network["training"]["rows"]:
        assert row["problem"] is None and row["phases"]["backward"] > 0
    for row in (*network["forward"]["rows"], *layer["rows"]):
        assert row["seconds"] > 0 and row["max_abs_error"] < 1e-4
    assert "| PyTorch fp32 |" in written and "### VGG-E, 4 convolutions together" in written


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--device cpu --networks dcgan", "the lecture has single networks"),
        ("--device cpu --networks nothing", "no case named 'nothing-64'"),
        ("--device tpu", "expected cuda or cpu, not tpu"),
    ],
)
def test_what_cannot_be_run(
    words: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words.split()) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("options", ["--layers nope", "--minutes -1"])
def test_the_lecture_refuses(options: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as refused:
        main(["--device", "cpu", *options.split()])
    assert refused.value.code == 2
    assert "expected" in capsys.readouterr().err
