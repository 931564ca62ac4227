"""Training beside PyTorch's: both engines train the same thing; a small run end to end."""

from __future__ import annotations

import json
from pathlib import Path
from threading import Event

import pytest

from bench.gpu.__main__ import main
from bench.gpu.training import Field, Plan
from bench.gpu.training_report import Cell, Row, case_table, summary
from bench.process import Late, Process, WorkerError
from bench.training.cases import KINDS, Gan, case, layers
from bench.training.contenders import OURS, TORCH, Contender, Worker

QUICK = ["lenet-3", "discriminator8-2", "generator8-2", "dcgan8-2", "pix2pix2-1"]
SLOW = ["segmentation-1", "alexnet-2", "googlenet-1"]


def test_cases_by_name() -> None:
    gan = case("dcgan8-3")
    assert isinstance(gan, Gan) and gan.images == 3 and gan.real.shape == (3, 64, 64, 3)
    assert set(layers(gan.generator)).isdisjoint(layers(gan.discriminator))
    for kind in KINDS:
        assert case(f"{kind}8-1").images == 1
    for wrong in ("lenet", "lenet-0", "other-4", "dcgan-x"):
        with pytest.raises(ValueError, match=f"no case named '{wrong}': .*such as dcgan32-256"):
            case(wrong)


@pytest.mark.parametrize("name", [*QUICK, *(pytest.param(n, marks=pytest.mark.slow) for n in SLOW)])
@pytest.mark.parametrize("variant", ["eager", "channels_last"])
def test_both_engines_train_the_same(name: str, variant: str) -> None:
    """The first loss differs by rounding alone; the second as far as Adam turns that into steps.

    Adam's first step is the rate times the gradient's sign: where a gradient is next to nothing its
    sign is chance, so of the second only that both changed likewise is seen.
    """
    pytest.importorskip("torch", reason="PyTorch is not installed")
    ours = Contender(OURS, "strict", "", "cpu", 1).learner(name)
    theirs = Contender(TORCH, "fp32", variant, "cpu", 1).learner(name)
    first = ours.step()
    assert first == pytest.approx(theirs.step(), rel=2e-5)
    second = ours.step()
    assert second == pytest.approx(theirs.step(), rel=2e-2)
    assert second != pytest.approx(first, rel=1e-6)
    for learner in (ours, theirs):
        learner.run(2)
    assert ours.step() != pytest.approx(second, rel=1e-6)
    assert ours.phases().keys() == theirs.phases().keys() == {"forward", "backward", "update"}
    assert all(seconds and seconds > 0 for seconds in theirs.phases().values())


def test_a_worker_says_what_failed() -> None:
    process = Process(Worker, Contender(OURS, "tf32", "", "cpu", 1))
    try:
        with pytest.raises(WorkerError, match="precision 'tf32' needs a GPU"):
            process.ask("build", "lenet-2")
    finally:
        process.close()


def test_a_worker_that_is_late_is_ended() -> None:
    process = Process(Event)
    try:
        with pytest.raises(Late, match="no answer within 0 s"):
            process.ask("wait", timeout=0.0)  # for what nobody sets
        assert not process.alive
    finally:
        process.close()


def test_ratios_are_to_the_fastest_of_pytorch() -> None:
    rows = (
        Row("facegen float32", True, "float32", "", None, {"host": 0.01}, {"forward": 2e-3}),
        Row("PyTorch fp32 eager", False, "fp32", "eager", None, {"host": 0.04, "device": 0.03}),
        Row("PyTorch tf32 graph", False, "tf32", "graph", None, {"host": 0.02, "device": 5e-3}),
        Row("PyTorch bf16 graph", False, "bf16", "graph", "out of memory"),
    )
    table = case_table(Cell("lenet-100", 100, rows))
    assert "| facegen float32 | 10,000 | 2.00 | – | – | 2 | – | – |" in table
    assert "| PyTorch fp32 eager | 2,500 | 0.50 | 3,333 | 0.17 | – | – | – |" in table
    assert "- PyTorch bf16 graph: out of memory" in table
    lines = summary([Cell("lenet-100", 100, rows)], ["fp32", "bf16"]).splitlines()
    assert lines[2] == "| lenet-100 | from the host | 10,000 (2.00) | 2,500 (eager) | – |"
    assert lines[3] == "| lenet-100 | on the device | – | 3,333 (eager) | – |"


def test_small_run_on_the_cpu(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A contender that fails, and one that means nothing here, are lines of their own."""
    pytest.importorskip("torch", reason="PyTorch is not installed")
    words = (
        "--training --device cpu --cases dcgan4-2 --variants eager,graph "
        f"--torch-precisions fp32,fp99 --quick --minutes 9 --output {tmp_path}"
    )
    assert main(words.split()) == 0
    shown = capsys.readouterr().out
    assert shown.strip() == (tmp_path / "gpu-training.md").read_text().strip()
    (cell,) = json.loads((tmp_path / "gpu-training.json").read_text())["cells"]
    assert cell["case"] == "dcgan4-2" and cell["images"] == 2
    rows = {row["label"]: row for row in cell["rows"]}
    for engine in ("facegen float32", "PyTorch fp32 eager"):
        assert set(rows[engine]["seconds"]) == {"host", "device"}
    assert "fp32 is for GPUs" in rows["PyTorch fp32 graph"]["problem"]
    assert "fp99" in rows["PyTorch fp99 eager"]["problem"]


def test_who_is_not_ready_in_time() -> None:
    """Its process is ended, and the next case has a new one."""
    with Field() as contest:
        contender = Contender(OURS, "strict", "", "cpu", 1)
        late = contest.measure("lenet-2", [contender], Plan(1, 0.01), 1e-3).rows
        assert late[0].problem is not None and late[0].problem.startswith("not ready within")
        ready = contest.measure("lenet-2", [contender], Plan(1, 0.01), 300).rows
        assert ready[0].problem is None and set(ready[0].seconds) == {"host", "device"}


def test_what_is_out_of_time_and_what_is_unknown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = f"--training --device cpu --cases lenet-2 --minutes 0.001 --output {tmp_path}"
    assert main(words.split()) == 0
    assert "Not measured: the 0.001 minutes are over." in capsys.readouterr().out
    assert main(["--training", "--device", "cpu", "--cases", "nothing"]) == 2
    assert "no case named 'nothing'" in capsys.readouterr().err
