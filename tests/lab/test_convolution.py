"""Convolutions by every algorithm: verified, counted, and refused with a reason."""

from __future__ import annotations

import numpy as np
import pytest

from facegen import system
from facegen.errors import FacegenError, OutOfMemory
from facegen.kernels.algorithms import ALGORITHMS, find
from facegen.lab import convolution
from facegen.lab.convolution import Case, check, measure, reference
from facegen.nn import Conv2d

CASES = (
    Case(7, 9, 3, 5, 3),
    Case(8, 8, 4, 4, 4, stride=2, padding=1, batch=2),
    Case(6, 6, 8, 8, 1),
    Case(11, 11, 2, 3, 5, padding=0),
    Case(9, 9, 2, 2, 1, stride=4, padding=1),  # of the first rows alone, all is on the padding
)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_every_algorithm_is_right_or_refuses(case: Case) -> None:
    check([case])
    measured = measure(case, 1, 0.01)
    assert [result.algorithm for result in measured.results] == [a.name for a in ALGORITHMS]
    by_name = {result.algorithm: result for result in measured.results}
    assert by_name["naive"].times and by_name["direct"].times
    for algorithm in ALGORITHMS:
        result = by_name[algorithm.name]
        assert (result.times is None) == (algorithm.why_not(case.layer, case.x) is not None)
        if result.times is None:
            assert result.why_not
            continue
        assert result.of_tolerance <= 1
        assert result.gflops == pytest.approx(case.gflop / result.times.median)
        assert result.done_gflops == pytest.approx(
            2e-9 * result.multiplications / result.times.median
        )
    assert by_name["naive"].multiplications == pytest.approx(1e9 * case.gflop / 2)
    assert measured.winner in measured.results


def test_the_reference_is_the_definition() -> None:
    random = np.random.default_rng(3)
    layer = Conv2d(2, 3, (2, 3), (2, 1), ((1, 0), (0, 2)), bias=False)
    x = random.standard_normal((1, 5, 4, 2)).astype(np.float32)
    weight = random.standard_normal(layer.weight_shape).astype(np.float32)
    y = reference(layer, x, weight)
    padded = np.zeros((6, 6, 2))
    padded[1:, :4] = x[0]
    for oy, ox, o in np.ndindex(y.shape[1:]):
        window = padded[2 * oy : 2 * oy + 2, ox : ox + 3]
        assert y[0, oy, ox, o] == pytest.approx(np.sum(window * weight[o]), rel=1e-12, abs=1e-12)


def test_work_and_memory_are_counted_by_the_definition() -> None:
    case = Case(56, 56, 64, 128, 3, padding=0, batch=2)
    assert case.gflop == 2 * 2 * 54 * 54 * 9 * 64 * 128 / 1e9
    assert case.moved_bytes == 4 * (2 * (56 * 56 * 64 + 54 * 54 * 128) + 9 * 64 * 128)


def test_what_would_take_too_long_is_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(convolution, "MOST_SECONDS", 0.0)
    results = measure(Case(7, 7, 4, 4, 3), 1, 0.01).results
    assert results[0].algorithm == "naive" and "not run" in (results[0].why_not or "")


def test_scratch_that_is_not_to_be_had_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system, "memory_bytes", lambda: 1000)
    results = measure(Case(7, 7, 4, 4, 3), 10**6, 0.01, algorithms=[find("im2col")]).results
    assert "its scratch memory: takes" in (results[0].why_not or "")


def test_what_cannot_be() -> None:
    with pytest.raises(FacegenError, match="does not fit"):
        check([Case(8, 8, 1, 1, 9, padding=0)])
    with pytest.raises(FacegenError, match="every window lies on the padding"):
        check([Case(1, 1, 1, 1, 1, stride=2, padding=1)])
    with pytest.raises(FacegenError, match="too large"):
        check([Case(10**6, 10**6, 1, 1, 3)])
    with pytest.raises(OutOfMemory):
        check([Case(30_000, 30_000, 64, 64, 3, batch=1000)])
