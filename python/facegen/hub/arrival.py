"""Where a file that is fetched lies until it is known to be right: a folder of its own."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from facegen import system

_PREFIX = ".fetch-"
_STALE_SECONDS = 3600.0  # since anything came


@contextmanager
def place_of_arrival(cache: Path) -> Iterator[Path]:
    """A folder in the cache that goes with the ``with`` block.

    Those of fetches that were killed go too: what nobody has locked or written to for an hour. A
    lock may be seen on its own machine alone (NFS), hence the hour.
    """
    for left in cache.glob(f"{_PREFIX}*"):
        with suppress(OSError), system.locked_folder(left):
            if time.time() - _last_change(left) > _STALE_SECONDS:
                shutil.rmtree(left)
    with tempfile.TemporaryDirectory(prefix=_PREFIX, dir=cache) as name, ExitStack() as lock:
        with suppress(OSError):  # not every file system has locks
            lock.enter_context(system.locked_folder(Path(name)))
        yield Path(name)


def _last_change(folder: Path) -> float:
    return max(path.lstat().st_mtime for path in (folder, *folder.iterdir()))
