""".rgb: pictures of 256x256 as bytes, red, green, blue, row by row, one picture after another.

No header: the number of pictures is the size divided by 196,608.
"""

from __future__ import annotations

import os

import numpy as np

from facegen.media.raw import RawReader

PICTURE_SHAPE = (256, 256, 3)


class RgbReader(RawReader):
    """Pictures of a .rgb file: chunks are (k, 256, 256, 3) uint8."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        super().__init__(path, PICTURE_SHAPE, np.uint8, "256x256 RGB")
