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


class LightnessReader(RawReader):
    """Pictures of an INPUT.bin: chunks are (k, 256, 256) float32, all of them finite."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        super().__init__(path, (SIDE, SIDE), "<f4", "256x256 float32, L")

    def chunks(self, size: int) -> Iterator[NDArray[Any]]:
        """As for `RawReader`; a FormatError names the first L that is NaN or infinite."""
        done = 0
        for chunk in super().chunks(size):
            finite = np.isfinite(chunk)
            if not finite.all():
                i, y, x = (int(index) for index in np.argwhere(~finite)[0])
                raise FormatError(
                    f"{self.name}: picture {done + i}: L is {chunk[i, y, x]} at row {y}, column {x}"
                )
            done += len(chunk)
            yield chunk


class AbReader(RawReader):
    """Colours of an OUTPUT.bin: chunks are (k, 2, 256, 256) float32."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        super().__init__(path, (2, SIDE, SIDE), "<f4", "2x256x256 float32, a and b")
