"""Pairs as training shows them: moved a little, mirrored half of the time, both alike."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

LARGER = 286 / 256  # what pairs are read at, by the side of the network's pictures


def jittered(
    pair: NDArray[np.uint8], side: int, random: np.random.Generator, mirror: bool = True
) -> NDArray[np.uint8]:
    """A square of `side` pixels somewhere in both pictures: (2, side, side, 3) of (2, h, w, 3)."""
    _, height, width, _ = pair.shape
    y, x = (int(random.integers(size - side + 1)) for size in (height, width))
    crop = pair[:, y : y + side, x : x + side]
    return crop[:, :, ::-1] if mirror and random.random() < 0.5 else crop


def values(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Bytes as the network sees them: -1 to 1, float32."""
    return pixels.astype(np.float32) * np.float32(2 / 255) - np.float32(1)
