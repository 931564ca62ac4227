"""The reference program's picture: all faces tiled in one square 24-bit BMP.

The BMP file: a 54-byte header, then rows of BGR pixels from the bottom up, without padding (a row
of 64-pixel faces is a multiple of 4 bytes). Faces are tiled row by row in a square of side
``ceil(sqrt(N))`` faces; unused tiles are black.
"""

from __future__ import annotations

import math
import os
import shutil
import struct
import tempfile
from contextlib import ExitStack
from typing import BinaryIO, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from facegen.errors import FormatError
from facegen.files.atomic import AtomicFile
from facegen.numbers.pixels import to_uint8

FACE = 64  # pixels of a face's side
HEADER_BYTES = 54
_TILE_BYTES = FACE * FACE * 3
_LARGEST_FILE = 2**32 - 1  # the header's size fields have 32 bits


def grid_side(count: int) -> int:
    """Faces along a side of the square: ``ceil(sqrt(count))``."""
    return math.isqrt(count - 1) + 1 if count > 0 else 0


def bmp_header(width: int, height: int) -> bytes:
    """The 54 bytes before the pixels of a bottom-up 24-bit BMP whose rows need no padding."""
    pixel_bytes = width * height * 3
    file_header = struct.pack("<2sIHHI", b"BM", HEADER_BYTES + pixel_bytes, 0, 0, HEADER_BYTES)
    bits_per_pixel = 24
    info = struct.pack(
        "<IiiHHIIiiII", 40, width, height, 1, bits_per_pixel, 0, pixel_bytes, 0, 0, 0, 0
    )
    return file_header + info


class GridWriter:
    """Writes ``count`` faces, which come in chunks and in order, as one BMP.

    Memory is one row of faces, whatever the count: each row is written to its place in the file as
    soon as it is full. A pipe or device, where there is no going back, gets its copy at the end.
    The file appears under its name when the ``with`` block ends (see `AtomicFile`).

    Parameters
    ----------
    path
        The BMP file.
    count
        How many faces will come, at least 1.
    resume
        As for `ResultWriter`.

    Raises
    ------
    FormatError
        Where the picture is too large for BMP's 32-bit sizes (more than 349,281 faces); nothing
        has been written then.
    """

    def __init__(
        self, path: str | os.PathLike[str], count: int, *, resume: tuple[int, int] | None = None
    ) -> None:
        if count < 1:
            raise ValueError(f"count must be at least 1, not {count}")
        self.count = count
        self.written, keep = resume or (0, None)
        self._side = grid_side(count)
        size = HEADER_BYTES + self._side**2 * _TILE_BYTES
        if size > _LARGEST_FILE:
            most = math.isqrt((_LARGEST_FILE - HEADER_BYTES) // _TILE_BYTES) ** 2
            raise FormatError(
                f"{os.fspath(path)}: a BMP of {count:,} faces would have {size:,} bytes, and its "
                f"sizes have 32 bits: at most {most:,} faces"
            )
        # One row of faces, rows from the bottom up: (pixel row, face, pixel column, BGR).
        self._strip = np.zeros((FACE, self._side, FACE, 3), np.uint8)
        self._scratch = ExitStack()  # closes the copy that a pipe needs
        self._output = AtomicFile(path, keep and size)
        try:
            self._file: BinaryIO = self._output.file
            if keep:
                self._read_strip()
                return
            if self._output.direct:
                scratch = tempfile.TemporaryFile()  # noqa: SIM115 (closed by _scratch)
                self._file = cast(BinaryIO, self._scratch.enter_context(scratch))
            self._file.truncate(size)  # what is never written reads as zeros: black
            self._file.write(bmp_header(self._side * FACE, self._side * FACE))
        except BaseException:
            self._scratch.close()
            self._output.discard()
            raise

    def write(self, images: ArrayLike) -> None:
        """Add faces: (k, 64, 64, 3), float values in [-1, 1] (see `to_uint8`) or uint8, RGB."""
        pixels = to_uint8(images)
        if pixels.shape[1:] != (FACE, FACE, 3):
            raise ValueError(f"images must have shape (k, 64, 64, 3), not {pixels.shape}")
        if self.written + len(pixels) > self.count:
            raise ValueError(
                f"{self.written + len(pixels)} faces for a picture of {self.count} faces"
            )
        for face in pixels:
            row, column = divmod(self.written, self._side)
            self._strip[:, column] = face[::-1, :, ::-1]
            self.written += 1
            if column == self._side - 1 or self.written == self.count:
                self._write_strip(row)

    def synchronize(self) -> int:
        """Have all faces on the disk, a row that is not full too; gives the file's bytes."""
        if self.written % self._side and self.written < self.count:  # else `write` has written it
            self._seek(self.written // self._side)
            self._file.write(self._strip.data)
        self._output.synchronize()
        return HEADER_BYTES + self._side * self._strip.nbytes

    def _write_strip(self, row: int) -> None:
        self._seek(row)
        self._file.write(self._strip.data)
        self._strip.fill(0)

    def _read_strip(self) -> None:
        """The faces of the row that an earlier run did not fill."""
        if self.written % self._side:
            self._seek(self.written // self._side)
            data = os.read(self._file.fileno(), self._strip.nbytes)
            self._strip[:] = np.frombuffer(data, np.uint8).reshape(self._strip.shape)

    def _seek(self, row: int) -> None:
        """Go to the place of a row of faces in the file."""
        self._file.seek(HEADER_BYTES + (self._side - 1 - row) * self._strip.nbytes)

    def __enter__(self) -> GridWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        with self._scratch:
            try:
                if kind is None:
                    self._finish()
            except BaseException:
                self._output.discard()
                raise
            self._output.__exit__(kind, *error)

    def _finish(self) -> None:
        if self.written != self.count:
            raise ValueError(f"{self.written} faces for a picture of {self.count} faces")
        if self._output.direct:
            self._file.seek(0)
            shutil.copyfileobj(self._file, self._output.file, 1 << 20)


def write_bmp(path: str | os.PathLike[str], images: ArrayLike) -> None:
    """Write faces (n, 64, 64, 3) as one BMP; see `GridWriter`."""
    faces: NDArray[np.generic] = np.asarray(images)
    with GridWriter(path, len(faces)) as writer:
        writer.write(faces)
