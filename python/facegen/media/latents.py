"""Latent vectors in files: the reference program's text, or .npy."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facegen.errors import FormatError
from facegen.media.atomic import AtomicFile
from facegen.media.raw import npy_header
from facegen.media.text import LATENT_SHAPE, LatentReader

Latents = NDArray[np.float32]


class NpyLatentReader:
    """Latents of a .npy file, with the interface of `LatentReader`; the file is mapped, not read.

    Raises
    ------
    FormatError
        It is no .npy of (n, 100) real numbers, n at least 1.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.warnings: list[str] = []
        try:
            values = np.lib.format.open_memmap(path, mode="r")
        except (ValueError, EOFError) as error:
            reason = str(error).splitlines()[0] if str(error) else "ends too early"
            raise FormatError(f"{path}: not a valid .npy file: {reason}") from error
        if values.ndim != 2 or values.shape[1:] != LATENT_SHAPE or values.dtype.kind not in "fiu":
            raise FormatError(
                f"{path}: expected (n, {LATENT_SHAPE[0]}) real numbers, "
                f"found {values.shape} of {values.dtype}"
            )
        self.count = len(values)
        if self.count == 0:
            raise FormatError(f"{path}: holds 0 latents, expected at least 1")
        self._values = values
        self._path = path

    def chunks(self, size: int) -> Iterator[Latents]:
        """Yield all latents in order, up to `size` at a time: (k, 100) float32."""
        for start in range(0, self.count, size):
            with np.errstate(over="ignore"):  # what does not fit becomes infinite, and is refused
                chunk = self._values[start : start + size].astype(np.float32)
            if not np.isfinite(chunk).all():
                row, column = np.argwhere(~np.isfinite(chunk))[0]
                place = f"[{start + row}, {column}]"
                raise FormatError(f"{self._path}: found {chunk[row, column]} at {place}")
            yield chunk

    def __enter__(self) -> NpyLatentReader:
        return self

    def __exit__(self, *error: object) -> None:
        pass  # the mapping goes with its last array


def open_latents(path: str | os.PathLike[str]) -> LatentReader | NpyLatentReader:
    """A reader of latents, by the name: .npy, else text."""
    return NpyLatentReader(path) if Path(path).suffix.lower() == ".npy" else LatentReader(path)


class LatentWriter:
    """Writes `count` latents that come in chunks, as .npy to a name in .npy, else as text.

    The text has 9 digits a number, so that reading it back gives the same float32. The file
    appears under its name when the ``with`` block ends.
    """

    def __init__(self, path: str | os.PathLike[str], count: int) -> None:
        self._binary = Path(path).suffix.lower() == ".npy"
        self._output = AtomicFile(path)
        if self._binary:
            self._output.file.write(npy_header((count, *LATENT_SHAPE)))
        else:
            self._output.file.write(f"{count}\n".encode())

    def write(self, latents: Latents) -> None:
        """Add (k, 100) float32."""
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
