""".rgb: pictures of 256x256 as bytes, red, green, blue, row by row, one picture after another.

No header: the number of pictures is the size divided by 196,608.
"""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Iterator
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from facegen.errors import FormatError

PICTURE_SHAPE = (256, 256, 3)
PICTURE_BYTES = 256 * 256 * 3


class RgbReader:
    """Pictures of a .rgb file, in bounded memory.

    Attributes
    ----------
    count
        Pictures in the file; None for a pipe, which tells only at its end.

    Raises
    ------
    FormatError
        The file is empty, or its size is no whole number of pictures.
    OSError
        It cannot be read.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.name = os.fspath(path)
        self._file = io.BufferedReader(io.FileIO(path))
        try:
            status = os.fstat(self._file.fileno())
            self.count = self._count(status.st_size) if stat.S_ISREG(status.st_mode) else None
        except BaseException:
            self._file.close()
            raise

    def _count(self, size: int) -> int:
        """Pictures in so many bytes; refuses a broken one, and none at all."""
        if size == 0 or size % PICTURE_BYTES:
            raise FormatError(
                f"{self.name}: expected pictures of {PICTURE_BYTES:,} bytes (256x256 RGB), "
                f"found {size:,} bytes"
            )
        return size // PICTURE_BYTES

    def chunks(self, size: int) -> Iterator[NDArray[np.uint8]]:
        """Yield all pictures in order, up to `size` at a time: (k, 256, 256, 3) uint8.

        Raises
        ------
        FormatError
            The file is empty or ends inside a picture.
        """
        total = 0
        while True:
            chunk = np.empty((size, *PICTURE_SHAPE), np.uint8)
            found = self._file.readinto(chunk.reshape(-1).data)
            total += found
            at_end = found < chunk.nbytes
            if at_end:
                self._count(total)
            if found:
                yield chunk[: found // PICTURE_BYTES]
            if at_end:
                return

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> RgbReader:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
