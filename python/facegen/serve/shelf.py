"""Pictures that were sent once and are asked for many things: they stay for a while.

| is kept | where |
|---|---|
| the picture as it was sent | an unnamed file, as all bodies (`uploads.py`) |
| the same, decoded, at `PREVIEW_SIDE` | memory |
| what networks found, and files that were made of it | memory, unnamed files |
"""

from __future__ import annotations

import asyncio
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import SpooledTemporaryFile

import numpy as np
from starlette.exceptions import HTTPException

from facegen.photos.photo import Photo, opaque
from facegen.photos.square import resized
from facegen.serve.incoming import Incoming, checked_size
from facegen.serve.uploads import IN_MEMORY, Body

MOST_KEPT = 8  # pictures; of more, the oldest goes
KEPT_SECONDS = 30 * 60.0
PREVIEW_SIDE = 1600  # the longer one


class Kept:
    """A picture on the shelf; its methods are called in threads, but for `close`."""

    def __init__(self, incoming: Incoming, body: Body) -> None:
        self.height, self.width = checked_size(body.read())  # as it is stored, perhaps turned
        self._colours: np.ndarray | None = None
        self._incoming, self._body = incoming, body
        self._preview: np.ndarray | None = None
        self._files: dict[str, SpooledTemporaryFile[bytes]] = {}
        self._lock = threading.Lock()

    @contextmanager
    def decoded(self, keep_depth: bool = False) -> Iterator[Photo]:
        """The whole picture, for as long as it is worked on; it may be written over."""
        with self._incoming.decoded(self._body.read, keep_depth) as photo:
            if self._preview is None:
                self._preview = small(opaque(photo)).copy()
            yield photo

    def preview(self) -> np.ndarray:
        """(height, width, 3) uint8, upright, on white, at most `PREVIEW_SIDE` a side."""
        if self._preview is None:
            with self.decoded():
                pass
        assert self._preview is not None
        return self._preview

    @property
    def colours(self) -> np.ndarray:
        """The planes a and b that were found; 404 if none were."""
        if self._colours is None:
            raise HTTPException(404, "its colours were not found yet; post to .../colours first")
        return self._colours

    @colours.setter
    def colours(self, planes: np.ndarray) -> None:
        self._colours = planes

    def put(self, name: str, data: bytes) -> None:
        """Keep a file that was made of it, in place of an older one of that name."""
        file = SpooledTemporaryFile(IN_MEMORY)  # noqa: SIM115 - closed with the picture
        file.write(data)
        with self._lock:
            self._close_files(name)
            self._files[name] = file

    def get(self, name: str) -> bytes:
        """A file that was made; 404 if none was."""
        with self._lock:  # a file has one place that it is read at
            if name not in self._files:
                raise HTTPException(404, f"{name}: was not made of this picture yet")
            self._files[name].seek(0)
            return self._files[name].read()

    def close(self) -> None:
        self._body.close()
        with self._lock:
            self._close_files(*self._files)

    def _close_files(self, *names: str) -> None:
        for name in names:
            if name in self._files:
                self._files.pop(name).close()


class Shelf:
    """What is kept, by names that nobody guesses."""

    def __init__(self) -> None:
        self._kept: dict[str, Kept] = {}

    def add(self, kept: Kept) -> str:
        """Keep a picture under a new name."""
        name = secrets.token_urlsafe(12)
        self._kept[name] = kept
        while len(self._kept) > MOST_KEPT:
            self.drop(next(iter(self._kept)))
        asyncio.get_running_loop().call_later(KEPT_SECONDS, self.drop, name)
        return name

    def find(self, name: str) -> Kept:
        if name not in self._kept:
            raise HTTPException(404, "this picture is not kept any more; send it again")
        return self._kept[name]

    def drop(self, name: str) -> None:
        """Forget it; nothing happens where that was done before."""
        kept = self._kept.pop(name, None)
        if kept is not None:
            kept.close()


def small(pixels: np.ndarray) -> np.ndarray:
    """At most `PREVIEW_SIDE` a side."""
    height, width = pixels.shape[:2]
    scale = min(1.0, PREVIEW_SIDE / max(height, width))
    return resized(pixels, max(1, round(height * scale)), max(1, round(width * scale)))
