"""Every rung of the CPU staircase is right."""

from __future__ import annotations

import pytest

from facegen.learn.course import Rung, rungs
from facegen.learn.run import build_and_run

RUNGS = rungs("cpu")
# Built at each change; what the others change is built where slow tests run: two seconds each.
FAST = ("04",)


def verify(rung: Rung) -> None:
    results = build_and_run(
        rung.source, tiny=True, threads=2, seconds=0.001, more_flags=["-O1"], timeout=60
    )
    assert [result.problem for result in results] == ["conv3x3", "tconv2"]
    for result in results:
        assert result.rung == rung.name
        assert result.verified is True, result.wrong
        assert result.error is not None and 0 < result.error <= 1
        assert result.ms or result.not_timed


@pytest.mark.parametrize(
    "rung",
    [
        pytest.param(rung, marks=() if rung.name.startswith(FAST) else pytest.mark.slow)
        for rung in RUNGS
    ],
    ids=lambda rung: rung.name,
)
def test_a_rung_is_right(rung: Rung) -> None:
    verify(rung)
