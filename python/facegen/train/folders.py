"""The files of a folder of pictures, without those of runs, and how they are read: by threads."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from typing import TypeVar

from facegen import processors
from facegen.errors import FormatError
from facegen.train.ahead import read_ahead
from facegen.train.reports import CHECKPOINT, LOG

File = TypeVar("File", str, Path)
Read = TypeVar("Read")


def is_run(names: Collection[str]) -> bool:
    """Whether a folder with files of these names is a run's, whose pictures teach nothing."""
    return LOG in names or CHECKPOINT in names


def files_below(folder: Path) -> Iterator[Path]:
    """Every file below a folder but hidden ones, and what lies in hidden folders and in runs'.

    Raises
    ------
    OSError
        It, or a folder below, cannot be read.
    """

    def fail(error: OSError) -> None:
        raise error

    for parent, folders, names in os.walk(folder, onerror=fail):
        if Path(parent) != folder and is_run(names):
            folders.clear()
            continue
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (Path(parent, name) for name in names if not name.startswith("."))


def read_each(read: Callable[[File], Read], files: Sequence[File]) -> Iterator[Read | str]:
    """What `read` makes of each file, in order, or why it cannot (its FormatError)."""

    def read_or_reason(number: int) -> Read | str:
        try:
            return read(files[number])
        except FormatError as error:
            return str(error)

    count = processors.count()
    with closing(read_ahead(read_or_reason, range(len(files)), 4 * count, count)) as results:
        yield from results


def digest_of_names(names: Iterable[str]) -> str:
    """By which a run that goes on knows its files again, wherever they lie."""
    return sha256(os.fsencode("\n".join(names))).hexdigest()
