"""Bare arrays: values of one shape, one after another, without a header."""

from __future__ import annotations

import io
import math
import os
import stat
from collections.abc import Iterator
from typing import Any, TypeVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

from facegen.errors import FormatError
from facegen.files.atomic import AtomicFile
from facegen.files.standard import open_input

_Reader = TypeVar("_Reader", bound="RawReader")


class RawReader:
    """Items of a bare file, in bounded memory.

    Parameters
    ----------
    path
        A regular file, or a pipe.
    shape, dtype
        Of one item.
    what
        Items for people, such as "256x256 RGB".

    Attributes
    ----------
    count
        Items in the file; None for a pipe, which tells only at its end.

    Raises
    ------
    FormatError
        The file is empty, or its size is no whole number of items.
    OSError
        It cannot be read.
    """

    def __init__(
        self, path: str | os.PathLike[str], shape: tuple[int, ...], dtype: DTypeLike, what: str
    ) -> None:
        self.name = os.fspath(path)
        self.shape = shape
        self.dtype = np.dtype(dtype)
        self._what = what
        self._item_bytes = math.prod(shape) * self.dtype.itemsize
        self.count: int | None
        self._file = io.BufferedReader(open_input(path))
        try:
            status = os.fstat(self._file.fileno())
            self.count = None
            if stat.S_ISREG(status.st_mode):  # standard input may be read from the middle on
                self.count = self._count(status.st_size - self._file.tell())
        except BaseException:
            self._file.close()
            raise

    def _count(self, size: int) -> int:
        """Items in so many bytes; refuses a broken one, and none at all."""
        if size == 0 or size % self._item_bytes:
            raise FormatError(
                f"{self.name}: expected pictures of {self._item_bytes:,} bytes ({self._what}), "
                f"found {size:,} bytes"
            )
        return size // self._item_bytes

    def chunks(self, size: int) -> Iterator[NDArray[Any]]:
        """Yield all items in order, up to `size` at a time: (k, *shape).

        Raises
        ------
        FormatError
            The file is empty or ends inside an item.
        """
        total = 0
        while True:
            chunk = np.empty((size, *self.shape), self.dtype)
            found = self._file.readinto(chunk.reshape(-1).view(np.uint8).data)
            total += found
            at_end = found < chunk.nbytes
            if at_end:
                self._count(total)
            if found:
                yield chunk[: found // self._item_bytes]
            if at_end:
                return

    def close(self) -> None:
        self._file.close()

    def __enter__(self: _Reader) -> _Reader:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


class RawWriter:
    """Writes arrays one after another, behind a header if there is one.

    The file appears under its name when the ``with`` block ends (see `AtomicFile`).

    Parameters
    ----------
    path
        The file.
    header
        Its first bytes.
    resume
        As for `facegen.numbers.text.ResultWriter`.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        header: bytes = b"",
        *,
        resume: tuple[int, int] | None = None,
    ) -> None:
        self.written, keep = resume or (0, None)
        self._output = AtomicFile(path, keep)
        if not keep:
            self._output.file.write(header)

    def write(self, items: NDArray[Any]) -> int:
        """Add (k, ...) as it lies in memory; gives k."""
        self._output.file.write(np.ascontiguousarray(items).data)
        self.written += len(items)
        return len(items)

    def synchronize(self) -> int:
        """Have what was written on the disk; gives its bytes."""
        return self._output.synchronize()

    def __enter__(self) -> RawWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        self._output.__exit__(kind, *error)
