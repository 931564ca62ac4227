""".npy: an array with its type and shape before it, as NumPy writes it.

    0  \\x93NUMPY, 1 byte version (1 to 3), 1 byte 0
    8  bytes of the header, least significant first: 2 bytes in version 1, else 4
    .. the header, a Python dict: {'descr': '<f4', 'fortran_order': False, 'shape': (10, 100), }
    .. the values

NumPy's reader takes as much memory for the header as the file announces, and evaluates it. This
one takes the three entries of arrays of numbers and nothing else. Values are read, not mapped: a
file that is cut meanwhile is an error, where a mapping would end the process by a signal.
"""

from __future__ import annotations

import io
import math
import os
import re
import stat
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from facegen.errors import FormatError

MAX_HEADER_BYTES = 10_000  # as NumPy's own limit; arrays of numbers take some 100
MAX_DIMENSIONS = 32
_MAGIC = b"\x93NUMPY"
_ENTRY = re.compile(
    r"\s*(['\"])(?P<key>\w+)\1\s*:\s*"
    r"(?:(['\"])(?P<text>[^'\"]*)\3|(?P<flag>True|False)|\((?P<sizes>[^()]*)\))\s*(?:,|$)"
)
_SIZE = re.compile(r"\s*([0-9]{1,19})L?\s*")  # NumPy of Python 2 wrote an L


class Header(NamedTuple):
    dtype: np.dtype[Any]
    fortran_order: bool
    shape: tuple[int, ...]
    bytes: int  # of the file before the values

    @property
    def value_bytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize


def read_header(stream: IO[bytes]) -> Header:
    """What stands before the values, from the beginning of a file or of a member of a .npz.

    Raises
    ------
    FormatError
        It is no .npy of numbers; the message does not name the file.
    """
    start = stream.read(8)
    if start[:6] != _MAGIC:
        raise FormatError(f"expected a .npy, which begins with {_MAGIC!r}, found {start[:6]!r}")
    if start[6:] not in (b"\1\0", b"\2\0", b"\3\0"):
        raise FormatError(f"unknown .npy version {tuple(start[6:])}")
    length = stream.read(2 if start[6] == 1 else 4)
    size = int.from_bytes(length, "little")
    if size > MAX_HEADER_BYTES:
        raise FormatError(
            f".npy header of {size:,} bytes announced at byte 8, at most {MAX_HEADER_BYTES:,} "
            "expected"
        )
    text = stream.read(size)
    if len(text) < size or size == 0:
        raise FormatError("ends inside its .npy header")
    dtype, fortran_order, shape = _parse(text.decode("latin-1"))
    return Header(dtype, fortran_order, shape, len(start) + len(length) + size)


def _parse(text: str) -> tuple[np.dtype[Any], bool, tuple[int, ...]]:
    """The three entries of a header."""
    text = text.strip()
    if not (text.startswith("{") and text.endswith("}")):
        raise FormatError("its .npy header is no dict")
    body, at, entries = text[1:-1].rstrip(), 0, {}
    while at < len(body):
        entry = _ENTRY.match(body, at)
        if entry is None:
            raise FormatError("its .npy header holds something else than an array of numbers has")
        entries[entry["key"]] = entry
        at = entry.end()
    if entries.keys() != {"descr", "fortran_order", "shape"}:
        raise FormatError(f"expected descr, fortran_order and shape, found {[*entries]!r:.60}")
    flag = entries["fortran_order"]["flag"]
    if flag is None:
        raise FormatError("its .npy header has no fortran_order of True or False")
    return _dtype(entries["descr"]["text"]), flag == "True", _shape(entries["shape"]["sizes"])


def _dtype(descr: str | None) -> np.dtype[Any]:
    try:
        if descr is not None and re.fullmatch(r"[<>|=]?[biufc][0-9]{1,2}", descr):
            return np.dtype(descr)
    except TypeError:
        pass
    raise FormatError(f"expected an array of numbers, found type {descr!r:.40}")


def _shape(sizes: str | None) -> tuple[int, ...]:
    *words, last = (sizes or "").split(",")
    if last.strip():
        words.append(last)
    found = [_SIZE.fullmatch(word) for word in words]
    # One size without a comma is no tuple, and so no shape.
    if sizes is None or None in found or (len(words) == 1 and "," not in sizes):
        raise FormatError("its .npy header has no shape")
    if len(words) > MAX_DIMENSIONS:
        raise FormatError(f"found {len(words):,} dimensions, at most {MAX_DIMENSIONS} expected")
    return tuple(int(size[1]) for size in found if size is not None)


class NpyFile:
    """The array of a .npy, read by rows.

    Parameters
    ----------
    otherwise
        What is said of a file that is none.

    Attributes
    ----------
    dtype, shape
        Of the array, whose values are there.

    Raises
    ------
    FormatError
        It is no .npy of numbers, is no regular file, or is too short for its shape.
    OSError
        It cannot be read.
    """

    def __init__(
        self, path: str | os.PathLike[str], otherwise: str = "not a valid .npy file"
    ) -> None:
        self._path = path
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):
            raise FormatError(f"{path}: {otherwise}: found a folder, a pipe or a device")
        self._file = open(path, "rb")  # noqa: SIM115 (closed by close)
        try:
            self._header = read_header(self._file)
            needed = self._header.bytes + self._header.value_bytes
            if status.st_size < needed:
                raise FormatError(
                    f"announces shape {self.shape} of {self.dtype}, that is {needed:,} bytes, "
                    f"but has only {status.st_size:,}"
                )
        except FormatError as error:
            self.close()
            raise FormatError(f"{path}: {otherwise}: {error}") from error
        except BaseException:
            self.close()
            raise

    @property
    def dtype(self) -> np.dtype[Any]:
        return self._header.dtype

    @property
    def shape(self) -> tuple[int, ...]:
        return self._header.shape

    def rows(self, start: int, stop: int) -> NDArray[Any]:
        """array[start:stop], in memory of its own; FormatError where the file ends inside it."""
        rows, *inner = self.shape
        stop = min(stop, rows)
        if self._header.fortran_order:  # a line of all rows for each place in a row
            lines, step, first = math.prod(inner), rows, start
        else:
            lines, step, first = 1, 0, start * math.prod(inner)
        each = (stop - start) * math.prod(inner) // max(lines, 1)
        values = np.empty((lines, each), self.dtype)
        for line, target in enumerate(values):
            self._file.seek(self._header.bytes + (line * step + first) * self.dtype.itemsize)
            if self._file.readinto(target.view(np.uint8).data) != target.nbytes:
                raise FormatError(f"{self._path}: ends inside rows {start} to {stop}")
        if self._header.fortran_order:
            return values.reshape(*reversed(inner), stop - start).T
        return values.reshape(stop - start, *inner)

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> NpyFile:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def header_of(shape: tuple[int, ...]) -> bytes:
    """What a .npy of little-endian float32 begins with."""
    header = io.BytesIO()
    npy.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": shape})
    return header.getvalue()
