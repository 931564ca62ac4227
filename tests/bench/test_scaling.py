"""python -m bench.scaling: that it runs, and compares bits."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_table_and_record(tmp_path: Path) -> None:
    words = "--ranks 1,2 --threads 1 --chunk 2 --chunks 8 --repeats 1 --results none,float,text"
    result = subprocess.run(
        [sys.executable, "-m", "bench.scaling", *words.split()],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert "the same bits." in result.stdout
    record = json.loads((tmp_path / "build" / "bench" / "scaling.json").read_text())
    assert [row["ranks"] for row in record["rows"]] == [1, 2]
    for row in record["rows"]:
        assert set(row["images_per_second"]) == {"none", "float", "text"}
        assert min(row["images_per_second"].values()) > 0
