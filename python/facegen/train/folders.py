"""Which files of a folder of pictures are read: those of runs, which may lie there, are not."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from pathlib import Path

from facegen.train.loop import CHECKPOINT, LOG


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
