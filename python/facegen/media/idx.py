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

import numpy as np
from numpy.typing import NDArray

from facegen.errors import FormatError

Path = str | os.PathLike[str]

MAX_BYTES = 1 << 31  # of an array
_GZIP = b"\x1f\x8b"
_UNSIGNED_BYTES = b"\x00\x00\x08"
_MAX_DEFLATE = 1032  # bytes that one byte of a gzip file may become


def is_idx(path: Path) -> bool:
    """Whether a file starts as one of these, or is gzipped; OSError where it cannot be read."""
    with open(path, "rb") as file:
        start = file.read(4)
    return start.startswith(_GZIP) or (start[:3] == _UNSIGNED_BYTES and start[3:] in b"\1\2\3\4")


def read(path: Path, dimensions: int) -> NDArray[np.uint8]:
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
    status = os.stat(path)
    if not stat.S_ISREG(status.st_mode):
        raise FormatError(f"{path}: expected an IDX file, found a folder, a pipe or a device")
    size = status.st_size
    with open(path, "rb") as file:
        zipped = file.read(2) == _GZIP
        file.seek(0)
        if not zipped:
            return _read(path, file, dimensions, size)
        try:
            with gzip.GzipFile(fileobj=file) as unzipped:
                return _read(path, unzipped, dimensions, size * _MAX_DEFLATE)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise FormatError(f"{path}: damaged gzip: {error}") from error


def _read(path: Path, file: io.BufferedIOBase, dimensions: int, at_most: int) -> NDArray[np.uint8]:
    start = file.read(4)
    if len(start) < 4:
        raise FormatError(f"{path}: expected an IDX file, found {len(start)} bytes")
    if start[:2] != b"\0\0":
        raise FormatError(f"{path}: expected 2 zero bytes of an IDX file, found {start[:2].hex()}")
    if start[:3] != _UNSIGNED_BYTES:
        kind = f"{start[2]:#04x}"
        raise FormatError(f"{path}: expected unsigned bytes (0x08) at byte 2, found {kind}")
    if start[3] != dimensions:
        raise FormatError(f"{path}: expected {dimensions} dimensions at byte 3, found {start[3]}")
    header = file.read(4 * dimensions)
    if len(header) < 4 * dimensions:
        raise FormatError(f"{path}: ends within its {dimensions} sizes, at byte {4 + len(header)}")
    shape = tuple(int(n) for n in np.frombuffer(header, ">u4"))
    size_bytes, before = math.prod(shape), 4 + len(header)
    text = " x ".join(f"{n:,}" for n in shape)
    if size_bytes > min(MAX_BYTES, at_most - before):
        raise FormatError(
            f"{path}: announces {text} = {size_bytes:,} bytes, "
            + ("more than the file holds" if size_bytes <= MAX_BYTES else f"over {MAX_BYTES:,}")
        )
    values = np.empty(size_bytes, np.uint8)
    held = file.readinto(values.data)
    more = file.read(1) if held == size_bytes else b""
    if held != size_bytes or more:
        found = "more" if more else f"{held:,}"
        raise FormatError(f"{path}: expected {text} = {size_bytes:,} bytes, found {found}")
    return values.reshape(shape)
