"""The cards of small networks: what tools/write-small-card.py reads of what training said."""

from __future__ import annotations

import json
import runpy
from pathlib import Path

import pytest

TOOL = Path(__file__).resolve().parents[2] / "tools" / "write-small-card.py"

pytestmark = pytest.mark.skipif(not TOOL.exists(), reason="needs a checkout")


def test_stages_of_a_network_are_added_up(tmp_path: Path) -> None:
    for stage, seconds in (("portraits-1", (3, 5)), ("portraits", (2, 7.4)), ("parts", (100,))):
        (tmp_path / f"{stage}.run").mkdir()
        entries = [json.dumps({"step": i, "seconds": each}) for i, each in enumerate(seconds)]
        (tmp_path / f"{stage}.run" / "log.jsonl").write_text("\n".join(entries) + "\n")
    (tmp_path / "portraits.safetensors").write_bytes(b"weights")
    (tmp_path / "portraits.result.txt").write_text("trains on the CPU\na: off by 2 on 3 held out\n")
    (tmp_path / "pairs").mkdir()
    card = runpy.run_path(str(TOOL))["known"](tmp_path, "portraits", "a command")
    assert card["seconds"] == 12 and card["evaluation"] == "off by 2 on 3 held out"


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (["out/x.bin: mean IoU 0.7, 24 pairs held out"], "mean IoU 0.7, 24 pairs held out"),
        (
            [
                "step 1, loss 2",
                "out/x.bin: a, b off by 2.00 on 4 photos held out (3.00 in grey)",
                "photos: a, b off by 3.00 on 2 photos held out (4.00 in grey)",
                "out/people: a, b off by 1.00 on 2 photos held out (2.00 in grey)",
            ],
            "photos: a, b off by 3.00 on 2 photos held out (4.00 in grey); "
            "rendered: a, b off by 1.00 on 2 photos held out (2.00 in grey)",
        ),
    ],
)
def test_photos_and_rendered_ones_apart(said: list[str], expected: str) -> None:
    evaluation = runpy.run_path(str(TOOL))["evaluation"]
    assert evaluation(said, Path("out/people")) == expected
