"""Files of several pictures: pages of a TIFF, and frames of an animation, one after another.

Only one of them is decoded at a time. Frames come whole, as a viewer shows them, whatever part of
the frame before them they change.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from facegen.errors import FormatError
from facegen.photos import png_chunks
from facegen.photos.animated import Animation
from facegen.photos.photo import Photo, decode
from facegen.photos.tiff_tags import Directory, directory_at, first_directory, is_tiff

MOST = 10_000  # of a file: an hour's scans, or minutes of animation
_SUBFILE_TYPE = 254
_NO_PAGE = 1 | 4  # reduced copies of pages, and masks of them


@dataclass(frozen=True)
class Frame:
    """A page, or a picture of an animation and the milliseconds that it is shown."""

    photo: Photo
    milliseconds: int = 0


@dataclass(frozen=True)
class Frames:
    """The pictures of a file, decoded as they are asked for.

    Attributes
    ----------
    count
        Two at least.
    plays
        How often an animation is shown, 0 for ever; None of pages.
    """

    count: int
    plays: int | None
    _data: bytes
    _pages: tuple[int, ...] = ()  # places of a TIFF's directories
    _keep_depth: bool = False

    @property
    def name(self) -> str:
        """What one of them is called: "page" or "frame"."""
        return "page" if self.plays is None else "frame"

    def __iter__(self) -> Iterator[Frame]:
        """Each in turn; FormatError, which says the number, where one cannot be decoded."""
        frames = self._of_pages() if self.plays is None else self._of_animation()
        number = 1
        while True:
            try:
                frame = next(frames, None)
            except FormatError as error:
                raise FormatError(f"{self.name} {number} of {self.count}: {error}") from error
            if frame is None:
                return
            yield frame
            number += 1

    def _of_pages(self) -> Iterator[Frame]:
        for place in self._pages:
            yield Frame(decode(_from_page(self._data, place), keep_depth=self._keep_depth))

    def _of_animation(self) -> Iterator[Frame]:
        with Animation(self._data) as opened:
            for photo, milliseconds in opened.photos():
                yield Frame(photo, milliseconds)


def frames(data: bytes, keep_depth: bool = False) -> Frames | None:
    """What a file has of several pictures; None where it is one.

    Parameters
    ----------
    keep_depth
        As for `facegen.photos.photo.decode`; animations have 8 bits.

    Raises
    ------
    FormatError
        More than `MOST`, or a chain of pages that does not end; and as for `decode`.
    """
    if is_tiff(data):
        pages = _pages(data)
        return Frames(len(pages), None, data, pages, keep_depth) if len(pages) > 1 else None
    if not (data[:4] in (b"GIF8", b"RIFF") or data[4:8] == b"ftyp" or png_chunks.is_animated(data)):
        return None
    with Animation(data) as opened:
        if opened.count < 2:
            return None
        _check_count(opened.count)
        return Frames(opened.count, opened.plays, data)


def _check_count(count: int) -> None:
    if count > MOST:
        raise FormatError(
            f"{'more than ' if count == MOST + 1 else ''}{count:,} pictures in a file, of which "
            f"{MOST:,} are read at most; --frames first takes the first"
        )


def _pages(data: bytes) -> tuple[int, ...]:
    """Places of the directories of pages; of a single page none, which need not be whole."""
    pages: list[int] = []
    directory, seen = first_directory(data), set[int]()
    while directory is not None:
        start = directory.start
        seen.add(start)
        if not pages or not (directory.number(data, _SUBFILE_TYPE) or 0) & _NO_PAGE:
            pages.append(start)
        _check_count(len(seen))
        following = _following(data, directory)
        if following == 0:
            break
        if following in seen:
            raise FormatError(f"its pages do not end: after {len(seen)} they begin anew")
        directory = directory_at(data, following, directory.order, directory.big)
        if directory is None:
            raise FormatError(
                f"page {len(seen) + 1} lies outside of the file; --frames first takes the first"
            )
    return tuple(pages)


def _following(data: bytes, directory: Directory) -> int:
    """Where the next directory begins, 0 for none."""
    pointer = directory.order + ("Q" if directory.big else "I")
    return int(struct.unpack_from(pointer, data, directory.next_at)[0])


def _from_page(data: bytes, place: int) -> bytes:
    """The same TIFF, whose first page is another one of its pages."""
    first = first_directory(data)
    assert first is not None
    patched, (kind, at) = bytearray(data), ("Q", 8) if first.big else ("I", 4)
    struct.pack_into(first.order + kind, patched, at, place)
    return bytes(patched)

