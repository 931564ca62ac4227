"""What goes into a network of any kind: arrays from .npy files, or pictures, some at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack

import numpy as np

from facegen.errors import FormatError
from facegen.graphs import End
from facegen.numbers.npy import NpyFile
from facegen.photos import photo as photos
from facegen.photos.preparation import Preparation
from facegen.shares import chunks


class ArrayInputs:
    """The arrays of a network's inputs, in their order, read some rows at a time.

    Parameters
    ----------
    paths
        A .npy for each of `ends`.
    layout
        "NCHW" or "NHWC".

    Attributes
    ----------
    count
        Rows of each.
    shapes
        Of a row of each, channels first.

    Raises
    ------
    FormatError
        A file is no .npy of real numbers, has another shape than its input, or another number of
        rows than the first.
    OSError
        A file cannot be read.
    """

    def __init__(self, paths: Sequence[str], ends: Sequence[End], layout: str) -> None:
        self._stack = ExitStack()
        self._files: list[NpyFile] = []
        self.shapes: list[tuple[int, ...]] = []
        self.count = 0
        try:
            for path, end in zip(paths, ends, strict=True):
                file = self._stack.enter_context(NpyFile(path))
                self.shapes.append(_checked(path, file, end, layout))
                if self._files and file.shape[0] != self.count:
                    raise FormatError(
                        f"{path}: has {file.shape[0]:,} rows, {paths[0]} has {self.count:,}"
                    )
                self.count = file.shape[0]
                self._files.append(file)
        except BaseException:
            self._stack.close()
            raise

    def chunks(self, size: int) -> Iterator[tuple[np.ndarray, ...]]:
        """Up to `size` rows of each, at a time."""
        for start in range(0, self.count, size):
            yield tuple(file.rows(start, start + size) for file in self._files)

    def __enter__(self) -> ArrayInputs:
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()


def _checked(path: str, file: NpyFile, end: End, layout: str) -> tuple[int, ...]:
    """The shape of a row, channels first."""
    found = file.shape[1:]
    shape = (*found[-1:], *found[:-1]) if layout == "NHWC" else found
    if not end.fits(shape):
        raise FormatError(
            f"{path}: expected an array {end.stated(layout)} for the input {end.name}, "
            f"found {file.shape}"
        )
    if file.dtype.kind == "c":
        raise FormatError(f"{path}: expected real numbers, found {file.dtype}")
    return shape


def picture_chunks(
    paths: Iterable[str], preparation: Preparation, layout: str, size: int
) -> Iterator[tuple[np.ndarray]]:
    """Pictures as batches of a network's input.

    Raises
    ------
    FormatError
        A file is no picture that is read; the message names it.
    OSError
        A file cannot be read.
    """
    for part in chunks(list(paths), size):
        batch = np.stack([preparation(_decoded(path)) for path in part])
        yield (batch.transpose(0, 3, 1, 2) if layout == "NCHW" else batch,)


def _decoded(path: str) -> photos.Photo:
    try:
        return photos.decode(photos.read_bytes(path))
    except FormatError as error:
        raise FormatError(f"{path}: {error}") from error
