"""State of earlier runs on the disk: manifests, journals, records of a cache, all lines of JSON.

What is found there is input as any other: it may be damaged, of another program, or made to do
harm. So it is read within bounds, and what is no JSON object counts as none; whoever reads it
checks every field by the functions here before anything depends on it.
"""

from __future__ import annotations

import errno
import json
import os
import re
import stat
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from facegen import system
from facegen.errors import FacegenError
from facegen.files.atomic import naming, open_regular
from facegen.files.json_text import json_text

LONGEST_ENTRY = 1 << 20  # bytes; a thousand times what ours have
LARGEST = 2**62  # of whole numbers: sizes, times in nanoseconds
_NO_FILE = {errno.ENOENT, errno.ELOOP, errno.EINVAL, errno.ENXIO}  # link, pipe, folder, socket
_DIGEST = re.compile(r"[0-9a-f]{64}")


class Damaged(ValueError):
    """A field is not what one of ours would be."""


def parse(data: bytes) -> dict[str, Any]:
    """The JSON object of an entry, `Damaged` if it is none. NaN and infinity are none of JSON."""
    try:
        entry = json.loads(data.decode("utf-8"), parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise Damaged(str(error)) from None
    if not isinstance(entry, dict):
        raise Damaged(f"expected a JSON object, found {type(entry).__name__}")
    return entry


def read(path: str | os.PathLike[str], follow: bool = False) -> dict[str, Any]:
    """The one entry of a file.

    Parameters
    ----------
    follow
        Whether a symbolic link of this name is followed.

    Raises
    ------
    Damaged
        It has none, or something else.
    OSError
        There is no such file, or it cannot be read.
    """
    with open_regular(path, follow) as file:
        data = file.read(LONGEST_ENTRY + 1)
    if len(data) > LONGEST_ENTRY:
        raise Damaged(f"expected at most {LONGEST_ENTRY:,} bytes")
    return parse(data)


def read_lines(path: str | os.PathLike[str], follow: bool = False) -> Iterator[dict[str, Any]]:
    """The entries of a file that has one a line, `follow` as for `read`.

    Lines that are none are left out. There are none in what is no file, nor where nothing is.

    Raises
    ------
    OSError
        The file cannot be read; the error names it.
    """
    try:
        file = open_regular(path, follow)
    except OSError as error:
        if error.errno in _NO_FILE:
            return
        raise
    with file, naming(path):
        while line := file.readline(LONGEST_ENTRY):
            with suppress(Damaged):
                yield parse(line)


def require_own(path: str | os.PathLike[str]) -> None:
    """FacegenError for what has the name of a run's file and is none, such as a link or a pipe."""
    if os.path.lexists(path) and not stat.S_ISREG(mode := os.lstat(path).st_mode):
        found = "a link" if stat.S_ISLNK(mode) else "no file"
        raise FacegenError(f"{path}: expected a file of an earlier run, found {found}")


class LineFile:
    """A file of entries that grows: every line is whole in it, or `append` raises.

    Parameters
    ----------
    path
        The file; a link of this name is not followed.

    Raises
    ------
    FacegenError
        What has this name is no file.
    OSError
        It cannot be opened; the error names it, as those of `append` do.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path)
        require_own(path)
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | system.PLAIN | system.NO_FOLLOW
        with naming(path):
            self._descriptor = os.open(path, flags, 0o666)
            try:  # a run that was killed may have left half a line
                self._half = self._ends_in_half_a_line()
            except BaseException:
                self.close()
                raise

    def append(self, entry: Mapping[str, Any]) -> None:
        """Add a line."""
        data = memoryview(b"\n" * self._half + json_text(entry).encode() + b"\n")
        with naming(self._path):
            while data:  # a disk that is nearly full takes a part, and then says so
                data = data[os.write(self._descriptor, data) :]
                self._half = bool(data)

    def close(self) -> None:
        os.close(self._descriptor)

    def _ends_in_half_a_line(self) -> bool:
        if os.lseek(self._descriptor, 0, os.SEEK_END) == 0:
            return False
        os.lseek(self._descriptor, -1, os.SEEK_END)
        return os.read(self._descriptor, 1) != b"\n"


def whole(value: object) -> int:
    """A number of bytes or of items, or a time in nanoseconds."""
    if type(value) is not int or not 0 <= value <= LARGEST:
        raise Damaged(f"expected a whole number, found {value!r:.40}")
    return value


def digest(value: object) -> str:
    """A SHA-256 in hexadecimal digits."""
    if type(value) is not str or not _DIGEST.fullmatch(value):
        raise Damaged(f"expected a SHA-256, found {value!r:.80}")
    return value


def mapping(value: object) -> dict[str, Any]:
    """An object of JSON."""
    if type(value) is not dict:
        raise Damaged(f"expected an object, found {value!r:.40}")
    return value


def file_name(value: object) -> str:
    """The name of a file below a folder: no way leads out of it, but perhaps a link that is there.

    `is_below` tells of that.
    """
    if (
        type(value) is not str
        or os.path.isabs(value)
        or os.path.normpath(value) != value
        or value.split(os.sep)[0] in (os.curdir, os.pardir)
    ):
        raise Damaged(f"expected a name below a folder, found {value!r:.80}")
    try:
        if b"\0" in os.fsencode(value):
            raise Damaged("a name holds a zero byte")
    except UnicodeEncodeError as error:
        raise Damaged(str(error)) from None
    return value


def is_below(path: str | os.PathLike[str], folder: str | os.PathLike[str]) -> bool:
    """The file of this name, itself and not what it links to, lies in the folder or below it."""
    parent = os.path.realpath(os.path.dirname(path) or os.curdir)
    home = os.path.realpath(folder)
    return os.path.commonpath([home, parent]) == home


def _refuse(constant: str) -> None:
    raise Damaged(f"{constant} is none of JSON")
