"""Pictures on a command line: themselves, or lists of them in text files."""

from __future__ import annotations

import os
from collections.abc import Iterable

from facegen.errors import FormatError

MAX_LIST_BYTES = 64 << 20


def pictures_of(arguments: Iterable[str]) -> list[str]:
    """Paths of pictures, in order.

    What has a picture's extension is a picture. Anything else is a text file with one path a line,
    as it would stand on the command line; empty lines are skipped.

    Raises
    ------
    FormatError
        A list that is no text, too long or empty.
    OSError
        A list cannot be read.
    """
    from facegen.media.photo import readable_extensions

    known = readable_extensions()
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
    paths = [os.fsdecode(line.strip()) for line in text.splitlines() if line.strip()]
    if not paths:
        raise FormatError(f"{path}: an empty list, expected the path of a picture a line")
    return paths
