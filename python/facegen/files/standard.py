"""'-', which stands for standard input or output where a file is named.

What is open already has the names that Linux gives it, on every system: /dev/stdin, /dev/stdout,
/dev/stderr and /dev/fd/N. It is duplicated and not opened anew: that would begin at a file's start
again, fails for a socket, and Windows has no such names at all.
"""

from __future__ import annotations

import io
import os
import re
from pathlib import Path, PurePath

STANDARD = "-"

_STREAMS = {"stdin": 0, "stdout": 1, "stderr": 2}


def input_file(name: str) -> str:
    """The file to read, for `open_input`; the name itself where it is not '-'."""
    return "/dev/stdin" if name == STANDARD else name


def output_file(name: str) -> str:
    """The file to write, for `AtomicFile`; the name itself where it is not '-'."""
    return "/dev/stdout" if name == STANDARD else name


def open_already(path: PurePath) -> int | None:
    """The descriptor that a name stands for; None where it is a file's."""
    found = re.fullmatch(r"/dev/(?:fd/([0-9]{1,9})|(stdin|stdout|stderr))", path.as_posix())
    if found is None:
        return None
    number, stream = found.groups()
    return int(number) if number else _STREAMS[stream]


def open_input(path: str | os.PathLike[str]) -> io.FileIO:
    """A file for reading, its bytes as they are on every system: FileIO sees to that."""
    descriptor = open_already(Path(path))
    if descriptor is None:
        return io.FileIO(path)
    copy = None
    try:
        copy = os.dup(descriptor)
        file = io.FileIO(copy)
        file.name = os.fspath(path)  # as of every other file, for errors
        return file
    except OSError as error:  # it is closed, or a folder
        if copy is not None:
            os.close(copy)
        raise OSError(error.errno, error.strerror, os.fspath(path)) from None


def is_stdout(name: str | None) -> bool:
    """'-', or another name of standard output."""
    return name is not None and (name == STANDARD or open_already(PurePath(name)) == 1)


def is_stream(name: str | os.PathLike[str]) -> bool:
    """What is written as it stands, '-' or an open file, a device, a pipe: no file to be made."""
    if name == STANDARD or open_already(PurePath(name)) is not None:
        return True
    return os.path.exists(name) and not os.path.isfile(name) and not os.path.isdir(name)
