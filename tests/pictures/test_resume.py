"""Whatever happens between runs, the next one leaves what a first one would have made."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facegen.photos.photo import decode
from facegen.pictures.results import FolderResults
from facegen.pictures.run import run
from files import negative, one, png

COUNT = 3
EVENTS = ["replace", "touch", "delete result", "cut result", "lose manifest line", "interrupt"]


class Interrupted(BaseException):
    """As a signal would be raised, at a moment of choice."""


def go(strength: int, stop_at: int | None = None) -> int:
    """Run; give how many pictures were skipped."""
    whole = negative(batch=1, strength=strength)
    task = replace(whole, compute=lambda values: [(255 - value) // strength for value in values])
    seen = 0

    def interrupt(outcome: object) -> None:
        nonlocal seen
        seen += 1
        if seen == stop_at:
            raise Interrupted

    results = FolderResults("out", False)
    items = [one(f"p{i}.png", f"out/p{i}.png") for i in range(COUNT)]
    try:
        return run(items, task, results, interrupt, workers=1).count("skipped")
    except Interrupted:
        return 0
    finally:
        results.close()


def happen(event: str, which: int, seed: int) -> None:
    picture, result = Path(f"p{which}.png"), Path(f"out/p{which}.png")
    if event == "replace":
        picture.write_bytes(png(2 + seed % 3, 3, seed))
    elif event == "touch":
        os.utime(picture, ns=(seed, seed))
    elif event == "delete result":
        result.unlink(missing_ok=True)
    elif event == "cut result" and result.exists():
        result.write_bytes(result.read_bytes()[: seed % 20])
    elif event == "lose manifest line":
        for path in Path("out/.facegen").glob("*"):
            path.write_bytes(path.read_bytes()[: -1 - seed % 30])
            for i in range(COUNT):  # what it may have been about would be refused
                Path(f"out/p{i}.png").unlink(missing_ok=True)


@settings(max_examples=30, deadline=None)
@given(
    events=st.lists(
        st.tuples(st.sampled_from(EVENTS), st.integers(0, COUNT - 1), st.integers(0, 99)),
        max_size=8,
    ),
    strengths=st.lists(st.integers(1, 2), min_size=9, max_size=9),
)
def test_the_last_run_decides(
    events: list[tuple[str, int, int]],
    strengths: list[int],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    before = os.getcwd()
    os.chdir(tmp_path_factory.mktemp("resume"))
    try:
        for i in range(COUNT):
            Path(f"p{i}.png").write_bytes(png(2, 3, seed=i))
        for (event, which, seed), strength in zip(events, strengths, strict=False):
            go(strength, stop_at=1 + which if event == "interrupt" else None)
            happen(event, which, seed)
        go(strengths[-1])
        for i in range(COUNT):
            picture = decode(Path(f"p{i}.png").read_bytes()).pixels
            result = decode(Path(f"out/p{i}.png").read_bytes()).pixels
            np.testing.assert_array_equal(result, (255 - picture) // strengths[-1])
        assert go(strengths[-1]) == COUNT
    finally:
        os.chdir(before)
