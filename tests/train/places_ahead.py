"""Where steps are not waited for: the devices, and one that is played.

That one is the CPU, which keeps to itself what it has done.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from facegen import train
from facegen.engine.device import CPU
from facegen.train import trainer
from facegen.train.cpu_steps import CpuSteps
from facegen.train.step_engine import Outcome, Steps

PLAYED = "played"
PLACES = [CPU, PLAYED, pytest.param("cuda", marks=pytest.mark.cuda)]


class AheadSteps(CpuSteps):
    """As `CudaSteps`: a step is known to be done when it is finished."""

    most_begun = 8

    def __init__(
        self, program: Any, arrays: Mapping[str, np.ndarray], threads: int, precision: str
    ) -> None:
        super().__init__(program, arrays, threads, precision, None)
        self._ahead: deque[tuple[np.ndarray, Outcome]] = deque()

    def begin(self, steps: Steps) -> bool:
        if len(self._ahead) == self.most_begun:
            return False
        stopped = any(outcome.not_finite for _, outcome in self._ahead)
        losses = np.empty_like(steps.losses)
        outcome = Outcome([]) if stopped else super().run(replace(steps, losses=losses))
        self._ahead.append((losses, outcome))
        return True

    def finish(self, losses: np.ndarray) -> Outcome:
        found, outcome = self._ahead.popleft()
        losses[...] = found
        if outcome.not_finite:
            self._ahead.clear()
        return outcome

    def run(self, steps: Steps) -> Outcome:
        assert not self._ahead
        return super().run(steps)


def device_of(place: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A trainer's device."""

    def make(device: str, program: Any, arrays: Any, threads: int, precision: str, *_: Any) -> Any:
        return AheadSteps(program, arrays, threads, precision)

    if place != PLAYED:
        return place
    monkeypatch.setattr(trainer, "make_step_engine", make)
    return CPU


def assert_same(one: train.Trainer, other: train.Trainer) -> None:
    state, expected = one.state_dict(), other.state_dict()
    assert state.keys() == expected.keys()
    for name, array in state.items():
        assert array.tobytes() == expected[name].tobytes(), name


def assert_losses(found: list[np.ndarray], expected: list[np.ndarray]) -> None:
    assert [losses.shape for losses in found] == [losses.shape for losses in expected]
    for step, (losses, those) in enumerate(zip(found, expected, strict=True)):
        assert losses.tobytes() == those.tobytes(), step
