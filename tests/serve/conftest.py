"""Small stand-ins for networks, so that what is tested is the server."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from facegen import Generator, Pix2Pix
from facegen.networks import NETWORKS


class Negative:
    """In place of a pix2pix: 255 - v."""

    prepare = Pix2Pix.prepare

    def compute(self, prepared: Sequence[np.ndarray]) -> np.ndarray:
        assert prepared[0].shape == (256, 256, 3) and prepared[0].dtype == np.uint8
        return 255 - np.stack(prepared)


class Reddish:
    """In place of a colorizer: strength times 100 in the red channel."""

    def __call__(self, pixels: np.ndarray, strength: float) -> np.ndarray:
        pixels = pixels.copy()
        pixels[..., 0] = 100 * strength
        return pixels


@pytest.fixture(scope="session")
def generator() -> Generator:
    return Generator(NETWORKS["dcgan"].initial_weights(5), device="cpu")


@pytest.fixture(scope="session")
def models(generator: Generator) -> Any:
    pytest.importorskip("starlette", reason="Starlette (the extra [serve]) is not installed")
    from facegen.serve.app import Models

    return Models(generator, Negative(), Reddish())  # type: ignore[arg-type]
