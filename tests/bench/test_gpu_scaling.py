"""Training on several GPUs, measured: what is asked, and what the table says of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.gpu import __main__ as gpu
from bench.gpu import scaling
from bench.gpu.scaling import Row, rows_of, table


def test_rows() -> None:
    rows = rows_of(["lenet-64"], [1, 2], [1, 4])
    assert [(r.images, r.per_gpu, r.shares, r.gpus) for r in rows] == [
        (64, False, 1, 1), (64, False, 1, 2), (64, False, 4, 1), (64, False, 4, 2),
        (64, True, 1, 1), (128, True, 1, 2), (64, True, 4, 1), (128, True, 4, 2),
    ]  # fmt: skip


def cells(line: str) -> str:
    return "|".join(cell.strip() for cell in line.strip("|").split("|"))


def test_table() -> None:
    rows = [
        Row("lenet", 64, True, 1, 1, 1e-3, 2e-3),
        Row("lenet", 128, True, 1, 2, 1e-3, 2.5e-3),
        Row("lenet", 64, False, 4, 4, problem="no NCCL"),
    ]
    _, _, one, two, none, _, problem = table(rows).splitlines()
    assert cells(one) == "lenet|64 a GPU|1|1|64,000|1.00|32,000|1.00"
    assert cells(two) == "lenet|64 a GPU|1|2|128,000|2.00|51,200|1.60"
    assert cells(none).startswith("lenet|64|4|4|")
    assert problem == "- lenet-64, 4 GPUs, 4 shares: no NCCL"


@pytest.mark.parametrize("words", [["--gpus", "x"], ["--gpus=1", "--cases", "dcgan64-8"]])
def test_what_cannot_be_measured(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert gpu.main(["--training", *words, "--output", str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith("bench.gpu --training --gpus: ")


def test_a_row_of_a_rank_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    row = Row("lenet", 8, False, 1, 1)
    scaling.run(row)
    assert row.resident is None and row.problem
