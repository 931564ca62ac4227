"""Pictures on several ranks, and shares of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facegen.pictures.results import FolderResults
from facegen.pictures.run import run
from files import negative, one, pixels, png

HERE = Path(__file__).parent


def launch(ranks: int, count: int, *mode: str) -> list[str]:
    """The statuses that rank 0 reports."""
    words = ["-m", "facegen", "launch", "--raw", "-n", str(ranks), "--", sys.executable]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(HERE), *sys.path])}
    result = subprocess.run(
        [sys.executable, *words, HERE / "picture_job.py", str(count), *mode],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    (line,) = result.stdout.splitlines()  # of rank 0 alone
    return json.loads(line)


@pytest.mark.parametrize("count", [1, 2, 40])
def test_ranks_share_the_pictures(count: int) -> None:
    for i in range(count):
        Path(f"p{i}.png").write_bytes(png(5 + i, 7, seed=i))
    if count == 40:
        Path("p7.png").write_bytes(b"no picture")
    expected = ["failed" if count == 40 and i == 7 else "done" for i in range(count)]
    assert launch(3, count) == expected
    for i, status in enumerate(expected):
        if status == "done":
            found = np.asarray(Image.open(f"out/p{i}.png"))
            np.testing.assert_array_equal(found, 255 - pixels(5 + i, 7, seed=i))
    again = ["skipped" if status == "done" else status for status in expected]
    assert launch(2, count) == again
    if count == 40:  # each rank noted its own
        assert len(list(Path("out/.facegen").iterdir())) > 1


def test_whatever_is_raised_fails_one_picture() -> None:
    for i in range(20):
        Path(f"p{i}.png").write_bytes(png(5 + i, 7, seed=i))
    assert launch(2, 20, "raise") == ["failed" if i == 9 else "done" for i in range(20)]


def test_a_rank_that_dies() -> None:
    """The others do its pictures, also those that it had finished of a chunk that it did not."""
    for i in range(80):
        Path(f"p{i}.png").write_bytes(png(5, 7, seed=i))
    assert launch(2, 80, "kill") == ["done"] * 80
    assert len(list(Path("out").glob("*.png"))) == 80
    assert "rank-1" in "".join(path.name for path in Path("out/.facegen").iterdir())


def test_shares_know_of_each_other() -> None:
    for i in range(5):
        Path(f"p{i}.png").write_bytes(png(5 + i, 7))
    items = [one(f"p{i}.png", f"out/p{i}.png") for i in range(5)]
    for index, share in enumerate([items[:2], items[2:]]):
        run(share, negative(), FolderResults("out", False, (index, 2)))
    names = sorted(path.name for path in Path("out/.facegen").iterdir())
    assert names == ["0-of-2-rank-0.jsonl", "1-of-2-rank-0.jsonl"]
    assert run(items, negative(), FolderResults("out", False)).count("skipped") == 5
