"""Zips of weights: .npz and PyTorch's checkpoints. A small one cannot fill the memory.

What a zip says about its members is believed only where it fits the file: its directory has a
limit, and so has what all members are unpacked.
"""

from __future__ import annotations

import io
import os
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from facegen.errors import FormatError, first_line
from facegen.weights.checks import Path, file_size
from facegen.weights.format import ZIP_MAGIC

# zipfile reads the directory in one piece, and takes about 10 times its size for the entries.
PIECE_BYTES = 1 << 20
# Float32 weights hardly shrink; what was 8 bits before takes a quarter.
_LARGEST_RATIO = 4
_ALWAYS_BYTES = 100 << 20

_LOCAL_HEADER = struct.Struct("<4s22xHH")  # its mark, and the lengths of what is behind it
_END_MAGIC = b"PK\x05\x06"
_END_BYTES = 22  # of the directory's end, which has no comment

# Whatever zipfile raises for damaged files.
DAMAGED = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    NotImplementedError,  # another compression
    RuntimeError,  # encrypted
    OverflowError,
    ValueError,
)


class _Pieces(io.FileIO):
    """A file that refuses to be read in large pieces, and where it has ended.

    With no size zipfile reads the last 64 kB alone.
    """

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        size = os.fstat(self.fileno()).st_size
        if whence == os.SEEK_SET and not 0 <= offset <= size:
            raise FormatError(f"something is said to be at byte {offset:,} of {size:,}")
        return super().seek(offset, whence)

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > PIECE_BYTES:
            raise FormatError(
                f"a zip's directory of {size:,} bytes, at most {PIECE_BYTES:,} expected"
            )
        return super().read(size) or b""


@contextmanager
def open_zip(path: Path, what: str) -> Iterator[zipfile.ZipFile]:
    """A zip, whose members are to be read in pieces of `PIECE_BYTES` at most.

    Raises
    ------
    FormatError
        It is damaged, has a directory above 1 MiB, or members that are packed by other means than
        deflate, or more than 4 times; the message says what was expected: `what`.
    OSError
        The file cannot be read.
    """
    size = file_size(path)
    with _Pieces(path) as file:
        try:
            archive = zipfile.ZipFile(file)
        except DAMAGED as error:
            raise FormatError(f"{path}: not {what}: {first_line(error)}") from error
        with archive:
            _check_members(path, archive, size)
            yield archive


def _check_members(path: Path, archive: zipfile.ZipFile, size: int) -> None:
    total = 0
    for member in archive.infolist():
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise FormatError(
                f"{path}: member {member.filename!r:.100}: expected stored or deflated, "
                f"found compression {member.compress_type}"
            )
        total += member.file_size
    most = _LARGEST_RATIO * size + _ALWAYS_BYTES
    if total > most:
        raise FormatError(
            f"{path}: announces {total:,} bytes in members, at most {most:,} expected "
            f"of a zip of {size:,}"
        )


class Piece(NamedTuple):
    """Where `size` bytes of a file lie, and their checksum where it has one."""

    offset: int
    size: int
    crc: int | None = None

    def read(self, path: Path) -> bytearray:
        data = bytearray(self.size)
        with open(path, "rb") as file:
            file.seek(self.offset)
            if file.readinto(data) != self.size:
                raise FormatError(f"{path}: ended while it was read")
        if self.crc is not None and zlib.crc32(data) != self.crc:
            raise FormatError(
                f"{path}: damaged: the {self.size:,} bytes from byte {self.offset:,} on have "
                "another CRC-32"
            )
        return data


def stored_pieces(path: Path, archive: zipfile.ZipFile, what: str) -> dict[str, Piece]:
    """Where the members of a zip lie, by their names: none is packed, and no two share a byte.

    Raises
    ------
    FormatError
        That is not so, or something lies behind the zip's end; `what` was expected.
    """
    size = file_size(path)
    pieces: dict[str, Piece] = {}
    end = 0
    # PyTorch can be told to write none (set_crc32_options), and has 0 for each then.
    has_checksums = any(member.CRC for member in archive.infolist())
    with open(path, "rb") as file:
        file.seek(-_END_BYTES, os.SEEK_END)
        if file.read(len(_END_MAGIC)) != _END_MAGIC:
            raise FormatError(f"{path}: not {what}: something lies behind the zip's end")
        for member in sorted(archive.infolist(), key=lambda member: member.header_offset):
            place = f"{path}: member {member.filename!r:.100}"
            if member.compress_type != zipfile.ZIP_STORED:
                raise FormatError(f"{place} is compressed, expected stored")
            if member.filename in pieces:
                raise FormatError(f"{place} is there twice")
            if not end <= member.header_offset <= size - _LOCAL_HEADER.size:
                raise FormatError(f"{place} overlaps another, or lies beyond the file's end")
            file.seek(member.header_offset)
            mark, *lengths = _LOCAL_HEADER.unpack(file.read(_LOCAL_HEADER.size))
            start = member.header_offset + _LOCAL_HEADER.size + sum(lengths)
            end = start + member.file_size
            if mark != ZIP_MAGIC or end > size:
                raise FormatError(f"{place} is not where the zip's directory says")
            pieces[member.filename] = Piece(
                start, member.file_size, member.CRC if has_checksums else None
            )
    return pieces
