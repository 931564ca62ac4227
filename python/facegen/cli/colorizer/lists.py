"""Pictures on a command line: themselves, or lists of them in text files."""

from __future__ import annotations

import codecs
import os
from collections.abc import Iterable

from facegen.errors import FormatError

MAX_LIST_BYTES = 64 << 20
MAX_PATHS = 1_000_000  # in a list: each takes some 200 bytes of memory


def pictures_of(arguments: Iterable[str]) -> list[str]:
    """Paths of pictures, in order.

    What has a picture's extension is a picture. Anything else is a text file with one path a line,
    as it would stand on the command line; empty lines are skipped, and so is the mark that some
    editors put before UTF-8.

    Raises
    ------
    FormatError
        A list that is no text, too long or empty.
    OSError
        A list cannot be read.
    """
    from facegen.photos import heif
    from facegen.photos.photo import readable_extensions

    known = readable_extensions() | heif.EXTENSIONS  # who reads it says what is missing
    paths = []
    for argument in arguments:
        if os.path.splitext(argument)[1].lower() in known:
            paths.append(argument)
        else:
            paths += _read_list(argument)
    return paths


def _read_list(path: str) -> list[str]:
    with open(path, "rb") as file:
        text = file.read(MAX_LIST_BYTES + 1)
    if len(text) > MAX_LIST_BYTES or b"\0" in text:
        raise FormatError(f"{path}: neither named as a picture nor a text of their paths")
    lines_at_most = text.count(b"\n") + text.count(b"\r") - text.count(b"\r\n") + 1
    if lines_at_most > MAX_PATHS:
        raise FormatError(
            f"{path}: a list of {lines_at_most:,} lines, expected at most {MAX_PATHS:,}"
        )
    lines = text.removeprefix(codecs.BOM_UTF8).splitlines()
    paths = [os.fsdecode(line.strip()) for line in lines if line.strip()]
    if not paths:
        raise FormatError(f"{path}: an empty list, expected the path of a picture a line")
    return paths
