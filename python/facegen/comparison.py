"""Do two results agree? Element by element, streamed, with the course's tolerance."""

from __future__ import annotations

import io
import math
import os
import stat
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from facegen.errors import FormatError
from facegen.files.standard import open_input
from facegen.numbers.text import ResultReader

Kind = Literal["text", "float32", "uint8"]
Path = str | os.PathLike[str]

TOLERANCE = 1e-3
_FACE = (64, 64, 3)
_PICTURE = (256, 256, 3)  # of a .rgb file
_VALUES_AT_ONCE = 1 << 20  # compared, of each file
_TEXT_BYTES = frozenset(b"0123456789+-.eE \t\r\n\v\fnaifNAIFty")


class Difference(NamedTuple):
    """Element `at` of the whole file, in C order."""

    at: int
    a: float
    b: float

    @property
    def size(self) -> float:
        """|a - b|; infinite where one is NaN."""
        gap = abs(self.a - self.b)
        return math.inf if math.isnan(gap) else gap


@dataclass(frozen=True)
class Comparison:
    """How two results of `values` elements each differ; of unlike sizes nothing more is said."""

    kind: Kind
    values_a: int
    values_b: int
    differing: int = 0  # elements out of tolerance
    first: Difference | None = None  # of those
    largest: Difference | None = None  # of all elements

    @property
    def same(self) -> bool:
        return self.values_a == self.values_b and self.differing == 0

    def place(self, index: int) -> str:
        """Where element `index` is, in words."""
        if self.kind == "float32":
            return f"value {index} (byte {4 * index})"
        shape = _FACE if self.kind == "text" else _PICTURE
        image, rest = divmod(index, shape[0] * shape[1] * shape[2])
        h, w, c = (int(i) for i in np.unravel_index(rest, shape))
        return f"pixel ({h}, {w}, {c}) of image {image}"


def kind_of(file: io.BufferedReader) -> Kind:
    """The kind by the extension, .bin (float32) or .rgb (uint8), or text by the first bytes."""
    extension = os.path.splitext(file.name)[1].lower()
    start = file.peek()
    if extension == ".rgb":
        return "uint8"
    if extension != ".bin" and _TEXT_BYTES.issuperset(start):
        return "text"
    if extension == ".bin":
        return "float32"
    raise FormatError(
        f"{file.name}: neither text of numbers nor named .bin (float32) or .rgb (uint8)"
    )


def compare(a: Path, b: Path, tolerance: float = TOLERANCE, kind: Kind | None = None) -> Comparison:
    """Compare a result with the answer `b`.

    Two elements agree where |a-b| < tolerance or |a-b| / |b| < tolerance, and where they are
    equal; NaN agrees with nothing. The files tell what they are where `kind` is None.

    Raises
    ------
    FormatError
        One of them is no result, or they are of two kinds.
    OSError
        One of them cannot be read.
    """
    with ExitStack() as stack:
        # Each is opened once: a pipe does not give its first bytes again.
        file_a, file_b = (stack.enter_context(_open(path)) for path in (a, b))
        if kind is None:
            kind, kind_b = kind_of(file_a), kind_of(file_b)
            if kind != kind_b:
                raise FormatError(f"{a} is {kind}, {b} is {kind_b}: they cannot be compared")
        values_a, chunks_a = _values(file_a, kind)
        values_b, chunks_b = _values(file_b, kind)
        if values_a != values_b:
            return Comparison(kind, values_a, values_b)
        differing, first, largest = _compare_chunks(chunks_a, chunks_b, tolerance)
    return Comparison(kind, values_a, values_b, differing, first, largest)


def _compare_chunks(
    chunks_a: Iterator[np.ndarray], chunks_b: Iterator[np.ndarray], tolerance: float
) -> tuple[int, Difference | None, Difference | None]:
    """Elements that differ, the first of them, and the largest difference of all."""
    differing = 0
    first: Difference | None = None
    largest: Difference | None = None
    start = 0
    for x, y in zip(chunks_a, chunks_b, strict=True):
        with np.errstate(invalid="ignore"):  # signalling NaN; inf - inf
            x, y = x.reshape(-1).astype(np.float64), y.reshape(-1).astype(np.float64)
            gap = np.where(x == y, 0.0, np.abs(x - y))
            gap[np.isnan(gap)] = np.inf
            agree = (gap < tolerance) | (gap < tolerance * np.abs(y)) | (x == y)
        if first is None and not agree.all():
            i = int(np.argmin(agree))
            first = Difference(start + i, float(x[i]), float(y[i]))
        differing += int(np.count_nonzero(~agree))
        i = int(np.argmax(gap))
        candidate = Difference(start + i, float(x[i]), float(y[i]))
        if largest is None or candidate.size > largest.size:
            largest = candidate
        start += x.size
    return differing, first, largest


def _open(path: Path) -> io.BufferedReader:
    return io.BufferedReader(open_input(path))


def _values(file: io.BufferedReader, kind: Kind) -> tuple[int, Iterator[np.ndarray]]:
    """Number of values, and the values in chunks of a fixed size."""
    if kind == "text":
        reader = ResultReader(file)
        return reader.numbers, reader.chunks(_VALUES_AT_ONCE // math.prod(_FACE))
    status = os.fstat(file.fileno())
    if not stat.S_ISREG(status.st_mode):
        raise FormatError(f"{file.name}: expected a regular file, found a pipe or a device")
    dtype = np.dtype("<f4" if kind == "float32" else np.uint8)
    size = status.st_size - file.tell()
    picture = _PICTURE[0] * _PICTURE[1] * _PICTURE[2]
    unit = dtype.itemsize if kind == "float32" else picture
    if size % unit:
        what = "float32 values" if kind == "float32" else "256x256x3 pictures"
        raise FormatError(f"{file.name}: {size:,} bytes are no whole number of {what}")
    return size // dtype.itemsize, _read_binary(file, dtype)


def _read_binary(file: io.BufferedReader, dtype: np.dtype) -> Iterator[np.ndarray]:
    while data := file.read(_VALUES_AT_ONCE * dtype.itemsize):
        yield np.frombuffer(data, dtype)
