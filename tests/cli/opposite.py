"""A model without a network, for tests of what is around it."""

from __future__ import annotations

import numpy as np
import pytest

from facegen.networks.model import Model


class Opposite:
    """In the place of a runner: of one channel itself and its negative, of more the negative."""

    device, isa, threads, chunk = "cpu", "none", 1, 1

    def __call__(self, batch: np.ndarray) -> np.ndarray:
        return np.concatenate([batch, -batch], -1) if batch.shape[-1] == 1 else -batch


def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let all models compute the `Opposite`, whatever their file holds."""

    def init(self: Model, network: object = None, **options: object) -> None:
        self.runner = Opposite()  # type: ignore[assignment]
        self.weights = {"sign": np.float32([-1])}
        self._options = {"precision": "float32", "algorithm": "auto", **options}

    monkeypatch.setattr(Model, "__init__", init)
