"""Latent vectors in files: the reference program's text, or .npy."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facegen.errors import FormatError
from facegen.files.atomic import AtomicFile
from facegen.numbers.floats import as_float32
from facegen.numbers.npy import NpyFile, header_of
from facegen.numbers.text import LATENT_SIZE, LatentReader

Latents = NDArray[np.float32]


class NpyLatentReader:
    """Latents of a .npy file, with the interface of `LatentReader`.

    Raises
    ------
    FormatError
        It is no .npy of (n, `size`) real numbers, n at least 1.
    """

    def __init__(self, path: str | os.PathLike[str], size: int = LATENT_SIZE) -> None:
        self.warnings: list[str] = []
        self._path, self._size = path, size
        self._array = NpyFile(path)
        try:
            self.count = self._check(self._array)
        except BaseException:
            self._array.close()
            raise

    def _check(self, array: NpyFile) -> int:
        """How many latents there are."""
        if array.shape[1:] != (self._size,) or array.dtype.kind not in "fiu":
            raise FormatError(
                f"{self._path}: expected (n, {self._size}) real numbers, "
                f"found {array.shape} of {array.dtype}"
            )
        if array.shape[0] == 0:
            raise FormatError(f"{self._path}: holds 0 latents, expected at least 1")
        return array.shape[0]

    def chunks(self, size: int) -> Iterator[Latents]:
        """Yield all latents in order, up to `size` at a time, as rows of float32."""
        for start in range(0, self.count, size):
            chunk = as_float32(self._array.rows(start, start + size))
            if not np.isfinite(chunk).all():
                row, column = np.argwhere(~np.isfinite(chunk))[0]
                place = f"[{start + row}, {column}]"
                raise FormatError(f"{self._path}: found {chunk[row, column]} at {place}")
            yield chunk

    def __enter__(self) -> NpyLatentReader:
        return self

    def __exit__(self, *error: object) -> None:
        self._array.close()


def open_latents(
    path: str | os.PathLike[str], size: int = LATENT_SIZE
) -> LatentReader | NpyLatentReader:
    """A reader of latents of `size` numbers, by the name: .npy, else text."""
    if Path(path).suffix.lower() == ".npy":
        return NpyLatentReader(path, size)
    return LatentReader(path, size=size)


class LatentWriter:
    """Writes `count` latents of `size` numbers, in chunks, as .npy to a name in .npy, else text.

    The text has 9 digits a number, so that reading it back gives the same float32. The file
    appears under its name when the ``with`` block ends.
    """

    def __init__(
        self, path: str | os.PathLike[str], count: int, size: int = LATENT_SIZE
    ) -> None:
        self._binary = Path(path).suffix.lower() == ".npy"
        self._output = AtomicFile(path)
        if self._binary:
            self._output.file.write(header_of((count, size)))
        else:
            self._output.file.write(f"{count}\n".encode())

    def write(self, latents: Latents) -> None:
        """Add rows of float32."""
        if self._binary:
            self._output.file.write(np.ascontiguousarray(latents, "<f4").data)
            return
        for row in latents:
            line = " ".join(f"{value:.9g}" for value in row.tolist())
            self._output.file.write(line.encode() + b"\n")

    def synchronize(self) -> int:
        """Have what was written on the disk; gives its bytes."""
        return self._output.synchronize()

    def __enter__(self) -> LatentWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        self._output.__exit__(kind, *error)
