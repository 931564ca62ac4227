"""The card of a network of faces, out of the files of its run."""

from __future__ import annotations

import hashlib
import json
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest

TOOL = Path(__file__).parents[2] / "tools" / "write-faces-card.py"
MEASURED = {
    "swd128": 3.0, "swd64": 2.0, "swd32": 1.5, "swd16": 1.0, "swd": 1.9, "diversity": 0.98765,
    "nearest_fake": [1.0, 2.25], "nearest_real": [1.5, 2.5], "closest_pair_fake": 3.0,
    "closest_pair_real": 3.5, "largest_step": 4.0, "kernel_distance": 5.125,
    "kernel_distance_real": 0.25, "count": 4096,
}  # fmt: skip
SMILE = {"told": 0.5, "linear": 0.6, "moved": 0.9, "moved_others": 0.1, "direction": [1.0]}


def test_all_figures_are_those_of_the_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "log.jsonl").write_text('\n{"step": 2, "seconds": 1}\n'
                                                '{"step": 1234, "seconds": 479.6}\n')  # fmt: skip
    np.save(tmp_path / "faces.npy", np.zeros((3, 128, 128, 3), np.uint8))
    (tmp_path / "faces128.safetensors").write_bytes(b"weights")
    (tmp_path / "train.log").write_text("trains on cuda:0 (a GPU)\nstep 2\n")
    (tmp_path / "rendering_seconds.txt").write_text("80\n")
    (tmp_path / "command.txt").write_text("tools/train-default.sh FOLDER --minutes 8\n")
    (tmp_path / "evaluation.json").write_text(json.dumps(MEASURED))
    (tmp_path / "faces128.traits.json").write_text(json.dumps({"traits": {"smile": SMILE}}))
    monkeypatch.setattr(sys, "argv", [str(TOOL), str(tmp_path), "faces128"])
    runpy.run_path(str(TOOL), run_name="__main__")

    card = json.loads((tmp_path / "faces128.json").read_text())
    assert card["name"] == "faces128" and card["network"] == "dcgan128"
    assert card["steps"] == 1234 and card["seconds"] == 480
    assert card["sha256"] == hashlib.sha256(b"weights").hexdigest()
    assert card["device"] == "cuda:0 (a GPU)" and card["evaluation"] == MEASURED
    assert "direction" not in card["traits"]["smile"]
    text = (tmp_path / "faces128.md").read_text()
    for part in (
        "# Faces of 128x128: the package's own network\n", "`faces128.json`",
        "a face of 128x128 RGB", "3 synthetic faces of 128x128", "drawn in 80 s",
        "1,234 steps of 256 pictures, seed 0, 480 s on cuda:0 (a GPU)", "| 0.988 | 1 |",
        "| 2.25 | 2.50 |", "1.9 (3.0, 2.0, 1.5, 1.0 at 128, 64, 32, 16 pixels)", "5.12",
        "`tools/train-default.sh FOLDER --minutes 8`", "| smile | 0.50 | 0.60 | 0.90 | 0.10 |",
    ):  # fmt: skip
        assert part in text, part
