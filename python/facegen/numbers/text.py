"""The reference program's number files, streamed: latents in, results out and back.

Both begin with a count N. INPUT: then N x 100 numbers, any white space between. OUTPUT: one line a
face, its 64 x 64 x 3 values (HWC) each printed ``%.4f`` and followed by one space.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from facegen._native import format_rows
from facegen.files.atomic import AtomicFile
from facegen.numbers.counted_arrays import ArrayReader

LATENT_SIZE = 100
FACE_SHAPE = (64, 64, 3)

_ROWS_AT_A_TIME = 64  # 6 MB of text


class LatentReader(ArrayReader):
    """Latent vectors of an INPUT file: ``count``, then ``chunks(k)`` of (k, 100) float32.

    Parameters
    ----------
    source
        A path, or a binary stream (which stays open).
    allow_empty
        Whether a count of 0 is accepted; the reference command refuses it.
    threads
        Threads that parse large blocks.
    size
        Of a latent vector.

    Raises
    ------
    FormatError
        Names the file and the place: no count, numbers missing, words, NaN or infinity.

    >>> with LatentReader("input1.txt") as latents:
    ...     for chunk in latents.chunks(64):
    ...         ...
    ...     print(*latents.warnings, sep="\\n")
    """

    def __init__(
        self,
        source: str | os.PathLike[str] | BinaryIO,
        *,
        allow_empty: bool = False,
        threads: int = 1,
        size: int = LATENT_SIZE,
    ) -> None:
        super().__init__(
            source, (size,), "latent", finite=True, allow_empty=allow_empty, threads=threads
        )


class ResultReader(ArrayReader):
    """Faces of an OUTPUT file: ``count``, then ``chunks(k)`` of (k, 64, 64, 3) float32.

    NaN and infinity are read as they were written.
    """

    def __init__(self, source: str | os.PathLike[str] | BinaryIO, *, threads: int = 1) -> None:
        super().__init__(
            source, FACE_SHAPE, "face", finite=False, allow_empty=True, threads=threads
        )


def read_results(
    source: str | os.PathLike[str] | BinaryIO, chunk: int = 64, *, threads: int = 1
) -> Iterator[NDArray[np.float32]]:
    """Yield the faces of an OUTPUT file, up to `chunk` at a time: (k, 64, 64, 3) float32."""
    with ResultReader(source, threads=threads) as reader:
        yield from reader.chunks(chunk)


def face_text(images: NDArray[np.float32], *, threads: int = 1) -> bytes:
    """The lines of an OUTPUT file for faces (k, 64, 64, 3) float32."""
    return b"".join(_text_blocks(images, threads))


def _text_blocks(images: NDArray[np.float32], threads: int) -> Iterator[bytes]:
    images = np.ascontiguousarray(images, dtype=np.float32)
    if images.shape[1:] != FACE_SHAPE:
        raise ValueError(f"images must have shape (k, 64, 64, 3), not {images.shape}")
    rows = images.reshape(len(images), math.prod(FACE_SHAPE))
    for start in range(0, len(rows), _ROWS_AT_A_TIME):
        yield format_rows(rows[start : start + _ROWS_AT_A_TIME], threads)


class ResultWriter:
    """Writes an OUTPUT file: ``count``, then faces in chunks, byte for byte as the reference.

    The file appears under its name when the ``with`` block ends (see `AtomicFile`).

    Parameters
    ----------
    path
        The file.
    count
        How many faces will come.
    threads
        Threads that format.
    resume
        Faces and bytes that an earlier run has written, as `synchronize` told: go on from there.
        (0, 0) begins a file that can be resumed.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        count: int,
        *,
        threads: int = 1,
        resume: tuple[int, int] | None = None,
    ) -> None:
        self.count = count
        self.written, keep = resume or (0, None)
        self._threads = threads
        self._output = AtomicFile(path, keep)
        if not keep:
            self._output.file.write(f"{count}\n".encode())

    def write(self, images: NDArray[np.float32]) -> None:
        """Add faces: (k, 64, 64, 3) float32."""
        self._add(len(images))
        for text in _text_blocks(images, self._threads):
            self._output.file.write(text)

    def write_text(self, text: bytes | memoryview, count: int) -> None:
        """Add `count` faces that `face_text` has formatted."""
        self._add(count)
        self._output.file.write(text)

    def synchronize(self) -> int:
        """Have what was written on the disk; gives its bytes."""
        return self._output.synchronize()

    def _add(self, count: int) -> None:
        self.written += count
        if self.written > self.count:
            raise ValueError(f"{self.written} faces for a file of {self.count}")

    def __enter__(self) -> ResultWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        if kind is None and self.written != self.count:
            self._output.discard()
            raise ValueError(f"{self.written} faces for a file of {self.count}")
        self._output.__exit__(kind, *error)
