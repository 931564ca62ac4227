"""Names of classes from a text file, one a line."""

from __future__ import annotations

import io
import os
import stat

from facegen.errors import FormatError

MAX_BYTES = 1 << 20


def read(path: str | os.PathLike[str], count: int) -> list[str]:
    """The names of `count` classes: line i is that of class i - 1, in UTF-8.

    Raises
    ------
    FormatError
        Another number of lines, an empty one, more than a megabyte, or no text.
    OSError
        The file cannot be read.
    """
    status = os.stat(path)
    if not stat.S_ISREG(status.st_mode):
        kind = "a directory" if stat.S_ISDIR(status.st_mode) else "a pipe or a device"
        raise FormatError(f"{path}: expected a text file of names, found {kind}")
    size = status.st_size
    if size > MAX_BYTES:
        raise FormatError(f"{path}: found {size:,} bytes, expected at most {MAX_BYTES:,}")
    with open(path, "rb") as file:
        data = file.read()
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise FormatError(f"{path}: no UTF-8 text at byte {error.start}") from error
    # Lines end with \n, \r\n or \r; str.splitlines would split a name at U+2028 too.
    names = [line.strip() for line in io.StringIO(text.rstrip(), newline=None)]
    if len(names) != count:
        raise FormatError(f"{path}: expected {count:,} lines, one a class, found {len(names):,}")
    if "" in names:
        raise FormatError(f"{path}: line {names.index('') + 1} is empty, expected a class's name")
    return names
