"""IDX, the format of MNIST and its kin: one array of bytes with its sizes before it.

    0  2 zero bytes, 1 byte type (0x08: unsigned bytes), 1 byte number of dimensions
    4  size of each dimension, 4 bytes, most significant first
    .. the bytes, last dimension fastest

Files may be gzipped, which is told by their content. Nothing is trusted: sizes are checked against
what the file can hold before memory is taken.
"""

from __future__ import annotations

import gzip
import io
import math
import os
import stat
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from facegen.errors import FormatError

MAX_BYTES = 1 << 31  # of an array
_GZIP = b"\x1f\x8b"
_UNSIGNED_BYTES = b"\x00\x00\x08"
_MAX_DEFLATE = 1032  # bytes that one byte of a gzip file may become


def is_idx(start: bytes) -> bool:
    """Whether a file that starts so, with 4 bytes or more, is one of these, or is gzipped."""
    return start.startswith(_GZIP) or (start[:3] == _UNSIGNED_BYTES and start[3:4] in b"\1\2\3\4")


def read(path: str | os.PathLike[str], dimensions: int) -> NDArray[np.uint8]:
    """The array of an IDX file of unsigned bytes.

    Parameters
    ----------
    path
        Plain or gzipped.
    dimensions
        How many are expected: 3 for images (n, height, width), 1 for labels (n,).

    Raises
    ------
    FormatError
        It is no such file, is damaged, too short or too long, or has another number of dimensions.
    OSError
        The file cannot be read.
    """
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):
            raise FormatError("expected an IDX file, found a folder, a pipe or a device")
        with open(path, "rb") as file:
            return _read(file, status.st_size, dimensions)
    except FormatError as error:
        raise FormatError(f"{path}: {error}") from error


def parse(data: bytes, dimensions: int) -> NDArray[np.uint8]:
    """The array of a file's content, as `read`; messages do not name the file."""
    return _read(io.BytesIO(data), len(data), dimensions)


def count(data: bytes, dimensions: int) -> int:
    """The values that a file's content announces and can hold; FormatError as for `parse`."""
    with _unzipped(io.BytesIO(data), len(data)) as (file, most):
        return math.prod(_shape(file, most, dimensions))


def _read(file: BinaryIO, size: int, dimensions: int) -> NDArray[np.uint8]:
    """From the beginning of a file of `size` bytes."""
    with _unzipped(file, size) as (plain, most):
        shape = _shape(plain, most, dimensions)
        values = np.empty(shape, np.uint8)
        held = plain.readinto(values.reshape(-1).data)
        more = plain.read(1) if held == values.size else b""
    if held != values.size or more:
        found = "more" if more else f"{held:,}"
        raise FormatError(f"expected {_text(shape)} = {values.size:,} bytes, found {found}")
    return values


@contextmanager
def _unzipped(file: BinaryIO, size: int) -> Iterator[tuple[Any, int]]:
    """What a file of `size` bytes holds, plain or gzipped, and the bytes that it is at most."""
    zipped = file.read(len(_GZIP)) == _GZIP
    file.seek(0)
    if not zipped:
        yield file, size
        return
    try:
        with gzip.GzipFile(fileobj=file) as unzipped:
            yield unzipped, size * _MAX_DEFLATE
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise FormatError(f"damaged gzip: {error}") from error


def _shape(file: BinaryIO, most: int, dimensions: int) -> tuple[int, ...]:
    """The sizes in front of the values, which fit into the `most` bytes of the file."""
    start = file.read(4)
    if len(start) < 4:
        raise FormatError(f"expected an IDX file, found {len(start)} bytes")
    if start[:2] != b"\0\0":
        raise FormatError(f"expected 2 zero bytes of an IDX file, found {start[:2].hex()}")
    if start[:3] != _UNSIGNED_BYTES:
        raise FormatError(f"expected unsigned bytes (0x08) at byte 2, found {start[2]:#04x}")
    if start[3] != dimensions:
        raise FormatError(f"expected {dimensions} dimensions at byte 3, found {start[3]}")
    header = file.read(4 * dimensions)
    if len(header) < 4 * dimensions:
        raise FormatError(f"ends within its {dimensions} sizes, at byte {4 + len(header)}")
    shape = tuple(int(n) for n in np.frombuffer(header, ">u4"))
    size = math.prod(shape)
    if size > min(MAX_BYTES, most - 4 - len(header)):
        reason = "more than the file holds" if size <= MAX_BYTES else f"over {MAX_BYTES:,}"
        raise FormatError(f"announces {_text(shape)} = {size:,} bytes, {reason}")
    return shape


def _text(shape: tuple[int, ...]) -> str:
    return " x ".join(f"{n:,}" for n in shape)
