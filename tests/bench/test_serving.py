"""python -m bench.serving: that it runs, and has a row for every way."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_table_and_record(tmp_path: Path) -> None:
    words = "--clients 1,3 --threads 1 --waits 0,1 --rounds 1 --seconds 0.02"
    result = subprocess.run(
        [sys.executable, "-m", "bench.serving", *words.split()],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    rows = json.loads((tmp_path / "build" / "bench" / "serving.json").read_text())["rows"]
    assert [row["clients"] for row in rows] == 3 * [1] + 3 * [3]
    assert min(row["faces_per_second"] for row in rows) > 0
    assert all(row["how"] in result.stdout for row in rows)
