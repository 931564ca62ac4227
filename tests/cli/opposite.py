"""A model without a network, for tests of what is around it."""

from __future__ import annotations

import numpy as np
import pytest

from facegen.networks.model import Model
from facegen.numbers.pixels import from_uint8, to_uint8


class Opposite:
    """In the place of a runner: of one channel itself and its negative, of more the negative."""

    device, isa, threads, batch, chunk, ready_seconds = "cpu", "none", 1, 1, 1, 0.0

    def __call__(
        self, x: np.ndarray, *, pixels: bool = False, as_pixels: bool = False
    ) -> np.ndarray:
        x = from_uint8(x) if pixels else x
        result = np.concatenate([x, -x], -1) if x.shape[-1] == 1 else -x
        return to_uint8(result) if as_pixels else result

    def warm_up(self, count: int | None, **options: bool) -> None:
        pass


def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let all models compute the `Opposite`, whatever their file holds."""

    def init(self: Model, network: object = None, **options: object) -> None:
        self.network = self.networks()[0]
        self.runner = Opposite()  # type: ignore[assignment]
        self.weights = {"sign": np.float32([-1])}
        self._options = {"precision": "float32", "algorithm": "auto", **options}

    monkeypatch.setattr(Model, "__init__", init)
