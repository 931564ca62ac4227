"""The benchmark: its reference and peers agree on every kind of layer; a small run end to end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench import workload
from bench.__main__ import main
from bench.measure import Cell, Result
from bench.nchw import nchw_network
from bench.peers import OURS, PEERS, Contender, NotApplicable, contenders, stream_count
from bench.record import Record, record
from bench.reference import disagreement, run_graph
from bench.tables import markdown
from bench.worker import Worker, WorkerError
from bench.workload import Workload
from facegen.nn import (
    Add,
    Affine,
    BatchNorm,
    Concat,
    Conv2d,
    ConvTranspose2d,
    DepthToSpace,
    GlobalAvgPool2d,
    Graph,
    InstanceNorm,
    LeakyReLU,
    Linear,
    MaxPool2d,
    ReLU,
    Reshape,
    Shape,
    Softmax,
    Tanh,
    Upsample,
)
from random_weights import random_weights

BATCH, THREADS = 2, 2


def every_layer() -> Workload:
    """Every kind of layer, with padding, strides and sizes that differ in height and width."""
    g = Graph("every")
    x = g.input("image", Shape(11, 13, 3))
    x = g.add("affine", Affine(0.5, 0.1), x)
    conv = Conv2d(3, 8, (3, 5), stride=(2, 1), padding=((1, 0), (2, 1)))
    x = g.add("leaky", LeakyReLU(0.2), g.add("conv", conv, x))
    a = g.add("norm", BatchNorm(8), x)  # after an activation: cannot be folded
    b = g.add("dilated", Conv2d(8, 8, 3, padding=2, dilation=2, bias=False), a)
    b = g.add("instance", InstanceNorm(8), b)
    x = g.add("join", Concat(), g.add("sum", Add(), a, b), b)
    x = g.add("pool", MaxPool2d(3, 2, ceil_mode=True), x)
    x = g.add("relu", ReLU(), g.add("linear", Linear(16, 12), x))
    padding = ((1, 0), (0, 2))
    tconv = ConvTranspose2d(12, 7, 4, stride=2, padding=padding, output_padding=(0, 1))
    x = g.add("larger", Upsample(scale=2), g.add("tconv", tconv, x))
    g.output(g.add("share", Softmax(), x))
    pixels = g.add("narrow", Conv2d(7, 8, 1), x)
    g.output(g.add("pixels", DepthToSpace(2, depth_first=False), pixels))
    g.output(g.add("mean", GlobalAvgPool2d(), x))
    x = g.add("flat", Reshape(Shape(1, 1, x.shape.floats)), x)
    x = g.add("fc", Linear(x.shape.channels, 16, bias=False), x)
    x = g.add("map", Reshape(Shape(2, 2, 4)), x)
    x = g.add("last", BatchNorm(4), x)  # folded through the reshape
    g.output(g.add("tall", Reshape(Shape(4, 2, 2)), g.add("tanh", Tanh(), x)))
    return Workload(g, random_weights(g, np.random.default_rng(0)))


@pytest.fixture(scope="module")
def work() -> Workload:
    return every_layer()


@pytest.fixture(scope="module")
def answer(work: Workload) -> list[np.ndarray]:
    return run_graph(work.graph, work.weights, *work.inputs(BATCH, 0))


def slow_variants(contender: Contender) -> Any:
    """Of PyTorch's one: each imports it for seconds, and a benchmark verifies all that it times."""
    is_slow = contender.peer == "torch" and contender.variant != "eager"
    return pytest.param(contender, marks=[pytest.mark.slow] * is_slow)


@pytest.mark.parametrize("contender", [slow_variants(c) for c in contenders()], ids=str)
def test_contender_agrees_with_reference(
    contender: Contender, work: Workload, answer: list[np.ndarray]
) -> None:
    if contender.version() is None:
        pytest.skip(f"{PEERS[contender.peer].package} is not installed")
    worker = Worker(contender, THREADS)
    try:
        worker.build(work, BATCH)
        outputs = worker.first_run(range(BATCH))
        assert len(outputs) == len(answer)
        for output, expected in zip(outputs, answer, strict=True):
            assert disagreement(output, expected) is None
        assert all(seconds > 0 for seconds in worker.time(2, warm_up=1))
    except NotApplicable as reason:
        pytest.skip(str(reason))
    finally:
        worker.close()


def test_reference_tconv_of_one_pixel_spreads_its_taps() -> None:
    """Input pixel i reaches output 2 i + r - 1 by tap r, as DCGAN's table says."""
    g = Graph("one")
    tconv = ConvTranspose2d(1, 1, 5, stride=2, padding=((1, 2), (1, 2)), bias=False)
    g.output(g.add("t", tconv, g.input("x", Shape(3, 3, 1))))
    taps = np.arange(1.0, 26.0).reshape(1, 5, 5, 1)
    x = np.zeros((1, 3, 3, 1))
    x[0, 1, 1] = 1.0
    (y,) = run_graph(g, {"t.weight": taps}, x)
    expected = np.zeros((6, 6))
    expected[1:6, 1:6] = taps[0, :, :, 0]  # 2 * 1 + r - 1 for r = 0..4
    np.testing.assert_array_equal(y[0, :, :, 0], expected)


def test_disagreement_names_the_place() -> None:
    b = np.ones((1, 2, 2, 1))
    a = b.copy()
    a[0, 1, 0, 0] = 1.1
    assert disagreement(b, b) is None
    assert "(0, 1, 0, 0)" in str(disagreement(a, b))
    assert disagreement(np.full_like(b, np.nan), b) is not None


def test_batch_norm_is_folded_where_that_is_exact(work: Workload) -> None:
    names = [node.name for node in nchw_network(work.graph, work.weights).nodes]
    assert "last" not in names and "norm" in names


@pytest.mark.parametrize(("batch", "threads", "streams"), [(1, 8, 1), (64, 6, 2), (8, 8, 8)])
def test_streams_share_batch_and_threads_equally(batch: int, threads: int, streams: int) -> None:
    assert stream_count(batch, threads) == streams


def test_layers_of_a_network_compute_what_they_do_inside_it() -> None:
    whole = workload.network("dcgan")
    parts = workload.layers(whole)
    assert [part.name for part in parts] == [
        "dcgan.proj", "dcgan.tconv1", "dcgan.tconv2", "dcgan.tconv3", "dcgan.tconv4"
    ]  # fmt: skip
    assert sum(part.graph.flops for part in parts) == whole.graph.flops


def test_worker_reports_an_error_in_one_line(work: Workload) -> None:
    broken = Workload(work.graph, {**work.weights, "conv.weight": np.zeros(3, np.float32)})
    worker = Worker(Contender(OURS, "default"), 1)
    try:
        with pytest.raises(WorkerError, match="conv.weight"):
            worker.build(broken, 1)
    finally:
        worker.close()


def test_unknown_peer_is_refused() -> None:
    with pytest.raises(ValueError, match="no peer named 'caffe'"):
        contenders(["caffe"])


def test_record_survives_json_and_says_what_failed(tmp_path: Path) -> None:
    fast = Result(Contender(OURS, "default"), [0.1, 0.1, 0.1], note="avx2", max_error=1e-6)
    slow = Result(Contender("ort", "latency"), [0.2, 0.2, 0.2], max_error=1e-6)
    wrong = Result(Contender("ncnn", "cpu"), problem="wrong answer: shape")
    cell = Cell("net", 8, 1, 0.5, [100.0, 80.0, 90.0], [fast, slow, wrong])
    machine = {"cpu": "c", "processors": 1, "date": "d", "commit": "e", "isas": [], "command": "f"}
    found = record("net", machine, [cell])
    found.write(tmp_path / "net.json")
    assert Record.read(tmp_path / "net.json") == found
    row = found.cells[0].rows[0]
    assert row.images_per_second == pytest.approx(80.0)
    assert row.percent_of_peak == pytest.approx(100 * 40 / 90)
    assert found.cells[0].ratio(row) == pytest.approx(2.0)
    text = markdown(found)
    assert "| facegen (avx2) | 80 (44%) |" in text
    assert "ncnn: wrong answer: shape (net batch 8, 1 threads)" in text


def test_command_writes_json_tables_and_plot(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--quick", "--batches", "1", "--threads", "1", "--peers", "facegen"]
    assert main([*options, "--output", str(tmp_path)]) == 0
    assert "facegen strict" in capsys.readouterr().out
    (cell,) = json.loads((tmp_path / "dcgan.json").read_text())["cells"]
    assert [row["problem"] for row in cell["rows"]] == [None, None]
    assert all(row["max_abs_error"] < 1e-3 for row in cell["rows"])
    pytest.importorskip("matplotlib")
    assert (tmp_path / "dcgan.png").stat().st_size > 0
