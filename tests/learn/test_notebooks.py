"""The notebooks run from begin to end: what they say is asserted in them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from facegen.learn.course import folder

NOTEBOOKS = sorted((folder() / "notebooks").glob("*.py"))


@pytest.mark.parametrize(
    "notebook",
    [
        pytest.param(path, id=path.stem, marks=() if path.stem[0] == "2" else pytest.mark.slow)
        for path in NOTEBOOKS
    ],
)
def test_a_notebook_runs(notebook: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    path = os.pathsep.join(sys.path)
    done = subprocess.run(
        [sys.executable, "-W", "error::RuntimeWarning", str(notebook)],
        cwd=tmp_path,
        env=os.environ | {"MPLBACKEND": "Agg", "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout and list(tmp_path.iterdir()) == []


def test_they_are_in_percent_form() -> None:
    assert len(NOTEBOOKS) == 5
    for notebook in NOTEBOOKS:
        cells = re.split(r"^# %%", notebook.read_text(), flags=re.MULTILINE)
        assert cells[0] == "" and cells[1].startswith(" [markdown]\n# # ")
        texts = [cell for cell in cells if cell.startswith(" [markdown]")]
        assert len(texts) >= 5 and all(
            line.startswith("#") or not line for cell in texts for line in cell.split("\n")[1:]
        )
