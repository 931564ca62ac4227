"""Turns of measuring, by a clock that the runs themselves move."""

from __future__ import annotations

import pytest

from facegen.lab.timing import MOST_SAMPLES, Times, in_turns


class Weather:
    """Runs that take so many seconds, and what order they came in."""

    def __init__(self) -> None:
        self.now = 0.0
        self.order: list[str] = []

    def run(self, name: str, seconds: float) -> None:
        self.now += seconds
        self.order.append(name)

    def measure(
        self, taking: dict[str, float], seconds: float, rounds: int = 3
    ) -> dict[str, Times]:
        runs = {name: lambda n=name, s=s: self.run(n, s) for name, s in taking.items()}
        return in_turns(runs, seconds, rounds, clock=lambda: self.now)


def test_all_have_as_many_samples_and_nobody_is_always_first() -> None:
    weather = Weather()
    times = weather.measure({"a": 0.1, "b": 0.2}, seconds=3.0)
    assert {name: found.median for name, found in times.items()} == pytest.approx(
        {"a": 0.1, "b": 0.2}
    )
    assert len(times["a"].samples) == len(times["b"].samples) > 3
    assert weather.order[:6] == ["a", "b", "a", "b", "b", "a"]  # once each before it counts
    assert weather.now < 3.0 + 0.3


def test_at_least_so_many_rounds_and_not_without_end() -> None:
    assert len(Weather().measure({"a": 0.06}, seconds=0.31, rounds=5)["a"].samples) == 5
    assert len(Weather().measure({"a": 0.1}, seconds=99)["a"].samples) == MOST_SAMPLES


def test_what_takes_too_long_is_measured_once() -> None:
    weather = Weather()
    times = weather.measure({"slow": 40.0, "quick": 0.1}, seconds=2)
    assert times["slow"].samples == (40.0,) and times["slow"].spread is None
    assert weather.order.count("slow") == 1 and len(times["quick"].samples) == 3


def test_what_is_short_is_repeated_within_a_sample() -> None:
    weather = Weather()
    times = weather.measure({"short": 1e-5}, seconds=0.1)
    assert times["short"].median == pytest.approx(1e-5)
    assert len(weather.order) == 1 + 200 * len(times["short"].samples)


def test_spread() -> None:
    times = Times((4.0, 1.0, 2.0, 3.0, 5.0))
    assert (times.median, times.least, times.spread) == (3.0, 1.0, 1 / 3)
