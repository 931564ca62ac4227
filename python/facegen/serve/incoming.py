"""Pictures that come in: of a type, of bounded size, and not too many decoded at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from starlette.exceptions import HTTPException
from starlette.requests import Request

from facegen.photos import photo as photos
from facegen.pictures.memory import PixelBudget, pixels_of_8_bits
from facegen.serve.uploads import Uploads

MAX_DRAWING_BYTES = 2 << 20
MAX_PHOTO_BYTES = 40 << 20
MAX_PHOTO_PIXELS = 50_000_000  # of a photo, and of all that are decoded at a time
MAX_PHOTO_SIDE = 32_767  # work is done by bands of whole rows
MAX_UPLOADS_BYTES = 4 << 30  # of all bodies that are here at a time, on disk


class Incoming:
    """The room that pictures of all requests share."""

    def __init__(self) -> None:
        self.uploads = Uploads(MAX_UPLOADS_BYTES)
        self._pixels = PixelBudget(MAX_PHOTO_PIXELS)

    @property
    def pixels(self) -> int:
        """How many are decoded now."""
        return self._pixels.taken

    @contextmanager
    def decoded(
        self, read: Callable[[], bytes], keep_depth: bool = False
    ) -> Iterator[photos.Photo]:
        """The picture of a body; waits, in a thread, while too many others are worked on."""
        data = read()
        height, width = checked_size(data)
        pixels = pixels_of_8_bits(height, width, keep_depth and photos.is_deep(data))
        self._pixels.take(pixels)
        try:
            yield photos.decode(data, keep_depth=keep_depth)
        finally:
            self._pixels.give_back(pixels)


def check_kind(request: Request) -> None:
    """Refuse a body that does not say it is a picture."""
    kind = request.headers.get("content-type", "")
    if not kind.startswith("image/"):
        raise HTTPException(415, f"expected a picture (Content-Type: image/...), found {kind!r}")


def checked_size(data: bytes) -> tuple[int, int]:
    """(height, width) by a picture's header; too large ones are refused before any is decoded."""
    height, width = photos.size(data)
    if height * width > MAX_PHOTO_PIXELS:
        raise HTTPException(413, f"more than {MAX_PHOTO_PIXELS:,} pixels: {width} x {height}")
    if max(height, width) > MAX_PHOTO_SIDE:
        raise HTTPException(413, f"more than {MAX_PHOTO_SIDE:,} pixels a side: {width} x {height}")
    return height, width
