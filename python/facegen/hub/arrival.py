"""Where a file that is fetched lies until it is known to be right: a folder of its own."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from facegen import system
from facegen.files.atomic import clear_left

_PREFIX = ".fetch-"


@contextmanager
def place_of_arrival(cache: Path) -> Iterator[Path]:
    """A folder in the cache that goes with the ``with`` block; those of killed fetches go too."""
    clear_left(cache, f"{_PREFIX}*", folders=True)
    with tempfile.TemporaryDirectory(prefix=_PREFIX, dir=cache) as name, ExitStack() as lock:
        with suppress(OSError):  # not every file system has locks
            lock.enter_context(system.locked_folder(Path(name)))
        yield Path(name)
