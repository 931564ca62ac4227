"""Text that begins with a count, then has the numbers of so many arrays: read as a stream."""

from __future__ import annotations

import codecs
import io
import math
import os
import stat
from collections.abc import Iterator
from typing import BinaryIO, TypeVar

import numpy as np
from numpy.typing import NDArray

from facegen._native import NumberParser
from facegen.errors import FormatError
from facegen.files.standard import open_input

_Reader = TypeVar("_Reader", bound="ArrayReader")

_BLOCK_BYTES = 4 << 20
_LARGEST_COUNT = 2**31 - 1  # the reference program's int
_WHITE_SPACE = b" \t\n\v\f\r"


class ArrayReader:
    """Reads ``N``, then N arrays of one shape, as float32 and in bounded memory.

    The count is checked against the file's size first (a number takes 2 bytes at least), so that a
    wrong one costs nothing. `warnings` collects what is no error: one line each.
    """

    def __init__(
        self,
        source: str | os.PathLike[str] | BinaryIO,
        item_shape: tuple[int, ...],
        item_name: str,
        *,
        finite: bool,
        allow_empty: bool,
        threads: int,
    ) -> None:
        self.item_shape = item_shape
        self.warnings: list[str] = []
        self._item_name = item_name
        self._threads = threads
        self._owns_file = isinstance(source, (str, os.PathLike))
        if isinstance(source, (str, os.PathLike)):
            self.name = os.fspath(source)
            self._file: BinaryIO | io.FileIO = open_input(source)
        else:
            self.name = str(getattr(source, "name", "<stream>"))
            self._file = source
        try:
            self.count = self._read_count(finite)
            self._check_size()
            if self.count == 0 and not allow_empty:
                raise FormatError(f"{self.name}: announces 0 {item_name}s, expected at least 1")
        except BaseException:
            self.close()
            raise

    @property
    def numbers(self) -> int:
        """Numbers announced."""
        return self.count * math.prod(self.item_shape)

    def chunks(self, size: int) -> Iterator[NDArray[np.float32]]:
        """Yield all items in order, up to `size` at a time: (k, *item_shape), float32.

        Raises
        ------
        FormatError
            A word that is no number, a number that is not finite, a file that ends too early: says
            in which line.
        """
        if size < 1:
            raise ValueError(f"size must be at least 1, not {size}")
        done = 0
        while done < self.count:
            items = min(size, self.count - done)
            wanted = items * math.prod(self.item_shape)
            values = self._take(wanted)
            if values.size < wanted:
                found = done * math.prod(self.item_shape) + values.size
                raise FormatError(
                    f"{self.name}: expected {self.numbers:,} numbers ({self.count:,} "
                    f"{self._item_name}s), found {found:,} before the end in line "
                    f"{self._parser.line}"
                )
            done += items
            yield values.reshape(items, *self.item_shape)
        self._drain()

    def __iter__(self) -> Iterator[NDArray[np.float32]]:
        """One item at a time."""
        for chunk in self.chunks(64):
            yield from chunk

    def close(self) -> None:
        """Close the file, if this reader opened it."""
        if self._owns_file:
            self._file.close()

    def __enter__(self: _Reader) -> _Reader:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _read_count(self, finite: bool) -> int:
        """The first word; what was read behind it goes to the parser."""
        line = column = 1
        text = block = self._read_start()
        while True:
            skipped = len(text) - len(text.lstrip(_WHITE_SPACE))
            line += text.count(b"\n", 0, skipped)
            newline = text.rfind(b"\n", 0, skipped)
            column = skipped - newline if newline >= 0 else column + skipped
            text = text[skipped:]
            word = text.split(None, 1)[0] if text else b""
            if not block or len(word) < len(text):
                break
            if len(word) > 100:  # no count, and no white space in sight
                break
            block = self._read()
            text += block
        if not word:
            raise FormatError(f"{self.name}: empty, expected the number of {self._item_name}s")
        if not word.isdigit() or len(word) > 20 or int(word) > _LARGEST_COUNT:
            raise FormatError(
                f"{self.name}: line {line}, column {column}: '{_shown(word)}' is not a number of "
                f"{self._item_name}s (0 to {_LARGEST_COUNT:,})"
            )
        self._parser = NumberParser(finite, line, column + len(word))
        self._ended = not block
        self._values = self._parse(text[len(word) :])
        return int(word)

    def _read_start(self) -> bytes:
        """What the file begins with, without the mark that some editors put before UTF-8."""
        start = b""
        while len(start) <= len(codecs.BOM_UTF8) and (block := self._read()):
            start += block
        return start.removeprefix(codecs.BOM_UTF8)

    def _check_size(self) -> None:
        size = _file_size(self._file)
        if size is not None and self.numbers > size // 2:
            raise FormatError(
                f"{self.name}: announces {self.count:,} {self._item_name}s, that is "
                f"{self.numbers:,} numbers, but has only {size:,} bytes"
            )

    def _read(self) -> bytes:
        return self._file.read(_BLOCK_BYTES) or b""

    def _parse(self, block: bytes) -> NDArray[np.float32]:
        try:
            return self._parser.feed(block, self._threads) if block else self._parser.finish()
        except ValueError as error:
            raise FormatError(f"{self.name}: {error}") from None

    def _fill(self) -> bool:
        """Parse the next block into `_values`; False at the end of the file."""
        if self._ended:
            return False
        block = self._read()
        self._ended = not block
        self._values = self._parse(block)
        return True

    def _take(self, wanted: int) -> NDArray[np.float32]:
        """The next `wanted` numbers, fewer at the end of the file."""
        parts = []
        while wanted > 0 and (self._values.size > 0 or self._fill()):
            part, self._values = self._values[:wanted], self._values[wanted:]
            parts.append(part)
            wanted -= part.size
        if not parts:  # the file has ended
            return self._values
        return np.concatenate(parts) if len(parts) > 1 else parts[0]

    def _drain(self) -> None:
        """Warn of numbers behind the last one announced; words are errors there too."""
        extra = self._values.size
        while self._fill():
            extra += self._values.size
        self._values = self._values[:0]
        if extra > 0:
            self.warnings.append(
                f"{self.name}: {extra:,} more numbers than the {self.numbers:,} announced "
                f"({self.count:,} {self._item_name}s): ignored"
            )


def _shown(word: bytes) -> str:
    """The beginning of a word for a message, as NumberParser shows one."""
    plain = set(range(0x21, 0x7F)) - set(b"\\'")
    return "".join(chr(byte) if byte in plain else f"\\x{byte:02x}" for byte in word[:40])


def _file_size(file: BinaryIO | io.FileIO) -> int | None:
    """Bytes of a regular file; None for what has no size: pipes, devices, memory, /proc."""
    try:
        status = os.fstat(file.fileno())
    except (AttributeError, OSError):  # io.UnsupportedOperation is an OSError
        return None
    return status.st_size if stat.S_ISREG(status.st_mode) and status.st_size > 0 else None
