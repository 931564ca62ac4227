"""The log of a run: lines of JSON, with the means of what was measured since the last."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from facegen.files import state
from facegen.files.atomic import AtomicFile
from facegen.files.json_text import json_text

Losses = Mapping[str, Any]  # by name: a number, or one an image


def begin(path: Path, step: int) -> state.LineFile:
    """The log from a step on: lines after it, which will be written anew, go, and damaged ones.

    FacegenError where what has its name is no file; that is not touched.
    """
    state.require_own(path)
    entries = state.read_lines(path, follow=True) if step > 0 else ()
    kept = [e for e in entries if type(e.get("step")) is int and e["step"] <= step]
    with AtomicFile(path) as file:
        file.writelines(json_text(entry).encode() + b"\n" for entry in kept)
    return state.LineFile(path)


class Means:
    """Means of losses over the images of some steps; goes into a checkpoint."""

    def __init__(self) -> None:
        self._sums: dict[str, np.ndarray] = {}  # (2,) float64: sum and count

    def add(self, losses: Losses) -> None:
        for name, values in losses.items():
            numbers = np.asarray(values, np.float64)
            add = np.array([numbers.sum(), numbers.size])
            self._sums[name] = self._sums.get(name, np.zeros(2)) + add

    def take(self) -> dict[str, float]:
        """The means so far; new ones begin."""
        means = {name: float(total / count) for name, (total, count) in self._sums.items()}
        self._sums = {}
        return means

    def state_dict(self) -> dict[str, np.ndarray]:
        return {name: sums.copy() for name, sums in self._sums.items()}

    def load_state_dict(self, state: Mapping[str, np.ndarray]) -> None:
        for name, sums in state.items():
            if sums.shape != (2,) or sums.dtype != np.float64 or not sums[1] > 0:
                raise ValueError(f"expected the sum and the number of {name!r:.100}")
        self._sums = {name: sums.copy() for name, sums in state.items()}
