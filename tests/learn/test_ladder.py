"""facegen learn ladder: what it prints, writes and refuses; stand-ins are what it runs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from facegen.cli.main import main
from facegen.engine import Runner
from facegen.lab.convolution import reference
from facegen.learn import ladder, peers
from facegen.learn.course import PROBLEMS, Rung
from facegen.learn.peers import Peer, cpu_peers, layer_of
from facegen.learn.run import Result
from facegen.nn import Graph, lower


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Two rungs, one of which this machine cannot run, and one peer; how the rungs were called."""
    seen: list[dict[str, Any]] = []

    def run(source: Path, *, problem: str, **options: Any) -> list[Result]:
        seen.append({"rung": source.stem, "problem": problem, **options})
        if source.stem == "02_b":
            return [Result("02_b", problem, None, threads=2, not_timed="no B here")]
        return [Result("01_a", problem, True, 2.0, 50.0, 100.0, 50.0, 1, 1, "A machine", 0.1)]

    found = [Rung(name, Path(f"{name}.cpp"), f"what {name} is") for name in ("01_a", "02_b")]
    monkeypatch.setattr(ladder, "rungs", lambda staircase: found)
    monkeypatch.setattr(ladder, "build_and_run", run)
    monkeypatch.setattr(ladder, "find_compiler", lambda source: ["c++"])
    monkeypatch.setattr(ladder, "build", lambda source: source)
    monkeypatch.setattr(ladder, "cpu_peers", lambda *given: [Peer("facegen", 1.0, 30.0, 1)])
    return seen


def test_the_table(calls: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["learn", "ladder", "cpu", "--threads", "3", "--seconds", "0.1"]) == 0
    out = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert [call["problem"] for call in calls] == ["conv3x3", "tconv2"] * 2
    assert {(call["threads"], call["seconds"], call["tiny"]) for call in calls} == {(3, 0.1, False)}
    assert "01_a 1 2.000 50.0 100.0 50.0" in out and "02_b 2 no B here" in out
    assert out.count("facegen 1 1.000 30.0 100.0 30.0") == 2
    assert main(["learn", "ladder", "cpu", "--no-peers"]) == 0
    assert "facegen 1" not in capsys.readouterr().out


def test_the_report_and_the_plot(calls: list[dict[str, Any]], tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    plot, report = tmp_path / "a.png", tmp_path / "a.json"
    given = ["learn", "ladder", "--problem", "tconv2", "--plot", str(plot), "--json", str(report)]
    assert main(given) == 0
    (panel,) = json.loads(report.read_text())["panels"]
    assert [row["name"] for row in panel["rows"]] == ["01_a", "02_b", "facegen"]
    assert plot.read_bytes().startswith(b"\x89PNG")
    count = len(calls)
    assert main(given) == 2 and len(calls) == count  # they exist
    assert main(["learn", "ladder", "--plot", str(tmp_path / "a.txt")]) == 2
    assert len(calls) == count


def test_a_rung_that_is_wrong(
    calls: list[dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    wrong = Result("01_a", "tconv2", False, threads=1, wrong="y 3", machine="A machine")
    monkeypatch.setattr(ladder, "build_and_run", lambda *given, **options: [wrong])
    assert main(["learn", "ladder", "--problem", "tconv2", "--tiny"]) == 1
    assert "wrong: y 3" in capsys.readouterr().out


def test_peers_compute_the_problems_of_the_course(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many multiply-adds as the programs count, on each axis the outputs that a tap meets."""
    flops = {problem: layer_of(problem)[0].flops(layer_of(problem)[1]) for problem in PROBLEMS}
    rows = {"conv3x3": 2 * 31 + 32, "tconv2": 7 + 8 + 8 + 7 + 7}
    channels = {"conv3x3": 256 * 256, "tconv2": 256 * 128}
    assert flops == {problem: 2 * rows[problem] ** 2 * channels[problem] for problem in PROBLEMS}
    monkeypatch.setattr(peers, "find_spec", lambda name: None)  # importing PyTorch takes seconds
    found = list(cpu_peers("tconv2", 0.001, threads=1))
    assert [peer.name for peer in found] == ["facegen, direct", "facegen"]
    for peer in found:
        assert peer.threads == 1
        assert peer.ms * peer.gflops == pytest.approx(flops["tconv2"] * 1e-6)


@pytest.mark.parametrize("problem", PROBLEMS)
def test_what_gpu_peers_are_verified_by_is_the_layer(problem: str) -> None:
    layer, shape = layer_of(problem)
    generator = np.random.default_rng(0)
    x = generator.standard_normal((1, *shape), np.float32)
    weight = generator.standard_normal(layer.weight_shape, np.float32)
    program = lower(Graph.of_layer("layer", layer, shape), {"layer.weight": weight})
    exact = reference(layer, x, weight)
    np.testing.assert_allclose(Runner(program, "cpu")(x), exact, atol=2e-5 * np.abs(exact).max())


def test_peers_that_fail_keep_none_from_their_rows(
    calls: list[dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fails(*given: Any) -> Iterator[Peer]:
        yield Peer("facegen", 1.0, 30.0, 1)
        raise RuntimeError("no memory\nis left")

    monkeypatch.setattr(ladder, "cpu_peers", fails)
    assert main(["learn", "ladder", "--problem", "tconv2"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "facegen 1 1.000 30.0" in out
    assert "facegen and PyTorch not timed: no memory is left" in out
