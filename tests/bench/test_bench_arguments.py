"""Options of the benchmarks that take no word for another."""

from __future__ import annotations

import pytest

from bench.gpu import training


@pytest.mark.parametrize(
    "options",
    ["--variants nope", "--precisions nope", "--minutes 0", "--minutes nan"],
)
def test_training_refuses(options: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as refused:
        training.main(["--device", "cpu", *options.split()])
    assert refused.value.code == 2
    assert "expected" in capsys.readouterr().err
