"""The colorizer's files: planes of 256x256 as little-endian float32, bare.

INPUT.bin holds L of each picture (0 to 100), OUTPUT.bin its a and then its b.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facegen.errors import FormatError
from facegen.media.colorization import SIDE
from facegen.media.raw import RawReader

MAX_LIGHTNESS = 100.0
# Conversions to L*a*b* in float32 differ by 1e-4; this lets all of them pass and no other scale.
ROUNDING = 0.01


class LightnessReader(RawReader):
    """Pictures of an INPUT.bin: chunks are (k, 256, 256) float32, from 0 to 100 but for rounding.

    Values are given as they are in the file.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        super().__init__(path, (SIDE, SIDE), "<f4", "256x256 float32, L")

    def chunks(self, size: int) -> Iterator[NDArray[Any]]:
        """Chunks of `RawReader`; a FormatError names the first L that is NaN or out of range."""
        least, most = -ROUNDING, MAX_LIGHTNESS + ROUNDING
        done = 0
        for chunk in super().chunks(size):
            if not (chunk.min() >= least and chunk.max() <= most):  # NaN is neither
                within = (chunk >= least) & (chunk <= most)
                i, y, x = (int(index) for index in np.argwhere(~within)[0])
                raise FormatError(
                    f"{self.name}: picture {done + i}, row {y}, column {x}: expected L from 0 to "
                    f"100, found {chunk[i, y, x]:g}"
                )
            done += len(chunk)
            yield chunk


class AbReader(RawReader):
    """Colours of an OUTPUT.bin: chunks are (k, 2, 256, 256) float32."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        super().__init__(path, (2, SIDE, SIDE), "<f4", "2x256x256 float32, a and b")
