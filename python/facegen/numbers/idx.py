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
_ALWAYS_BYTES = 100 << 20  # of memory are taken for what a gzip file only announces
_PIECE_BYTES = 1 << 20
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


def parse(data: bytes, dimensions: int, item: tuple[int, ...] | None = None) -> NDArray[np.uint8]:
    """The array of a file's content, as `read`; messages do not name the file.

    Where `item` is given, that is the shape of array[0], checked before memory is taken.
    """
    return _read(io.BytesIO(data), len(data), dimensions, item)


def count(data: bytes, dimensions: int) -> int:
    """The values that a file's content announces and can hold; FormatError as for `parse`."""
    with _unzipped(io.BytesIO(data), len(data)) as (file, most):
        return math.prod(_shape(file, most, dimensions))


def _read(
    file: BinaryIO, size: int, dimensions: int, item: tuple[int, ...] | None = None
) -> NDArray[np.uint8]:
    """Read a file of `size` bytes from its beginning."""
    with _unzipped(file, size) as (plain, most):
        shape = _shape(plain, most, dimensions)
        if item is not None and shape[1:] != item:
            expected, found = ("x".join(map(str, sizes)) for sizes in (item, shape[1:]))
            raise FormatError(f"expected images of {expected}, found {found}")
        total = math.prod(shape)
        if total > size + _ALWAYS_BYTES:  # zipped: it is unpacked once without being kept
            start, held = plain.tell(), 0
            while held <= total and (piece := plain.read(_PIECE_BYTES)):
                held += len(piece)
            _check_length(shape, held)
            plain.seek(start)
        values = np.empty(total, np.uint8)
        held = 0
        while held < total and (piece := plain.read(min(_PIECE_BYTES, total - held))):
            values[held : held + len(piece)] = np.frombuffer(piece, np.uint8)
            held += len(piece)
        _check_length(shape, held + len(plain.read(1)))
    return values.reshape(shape)


def _check_length(shape: tuple[int, ...], found: int) -> None:
    total = math.prod(shape)
    if found != total:
        held = "more" if found > total else f"{found:,}"
        raise FormatError(f"expected {_text(shape)} = {total:,} bytes, found {held}")


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
    if math.prod(n or 1 for n in shape) > MAX_BYTES:  # of which one may be 0
        raise FormatError(f"announces {_text(shape)} bytes, over {MAX_BYTES:,}")
    size = math.prod(shape)
    if size > most - 4 - len(header):
        raise FormatError(f"announces {_text(shape)} = {size:,} bytes, more than the file holds")
    return shape


def _text(shape: tuple[int, ...]) -> str:
    return " x ".join(f"{n:,}" for n in shape)
