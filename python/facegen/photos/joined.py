"""Several pictures written as one file, one at a time: pages of a TIFF, or an animation.

GIF, PNG and WebP frames are encoded as pictures by themselves, and what they hold is put together.
"""

from __future__ import annotations

import struct
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import IO, Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from facegen.errors import FormatError
from facegen.photos import gif, png_chunks, tiff_writer
from facegen.photos.encode import encode, in_profile
from facegen.photos.metadata import Metadata

_WEBP_ALPHA, _WEBP_ANIMATION = 0x10, 2
_WEBP_FLAGS = {b"ICCP": 0x20, b"EXIF": 8, b"XMP ": 4}
_NO_BLENDING = 2  # of an ANMF: the frame replaces what is there
_MOST_RIFF_BYTES = (1 << 32) - 2


@dataclass(frozen=True)
class Picture:
    """A result before it is encoded, as `facegen.photos.encode.encode` takes it."""

    pixels: NDArray[Any]
    alpha: NDArray[np.uint8] | None = None
    profile: bytes | None = None
    metadata: Metadata | None = None

    def encoded(self, path: str) -> bytes:
        return encode(self.pixels, path, self.alpha, self.profile, self.metadata)


class Joined(Protocol):
    """A file that is being written."""

    def add(self, picture: Picture, milliseconds: int) -> None: ...

    def end(self) -> None: ...


def holds(extension: str, plays: int | None) -> bool:
    """Whether a format can hold pages (`plays` is None), or an animation."""
    return extension in _PAGES or (plays is not None and extension in _ANIMATIONS)


def writer(extension: str, file: IO[bytes], count: int, plays: int | None) -> Joined:
    """What writes `count` pictures, 2 at least, into a file of a format that `holds` them."""
    if extension in _PAGES:
        return _Tiff(file, count)
    return _ANIMATIONS[extension](file, count, plays or 0)


class _Tiff:
    def __init__(self, file: IO[bytes], count: int) -> None:
        self._file, self._left = file, count
        file.write(tiff_writer.HEADER)

    def add(self, picture: Picture, milliseconds: int) -> None:
        self._left -= 1
        pixels, profile = in_profile(picture.pixels, picture.profile)
        start, last = self._file.tell(), self._left == 0
        self._file.writelines(
            tiff_writer.page(pixels, picture.alpha, profile, picture.metadata, start, last)
        )

    def end(self) -> None:
        pass


class _Animation(ABC):
    """Frames of one size, all with alpha: whether later ones have any is not known yet."""

    def __init__(self, file: IO[bytes], count: int, plays: int) -> None:
        self._file, self._count, self._plays = file, count, plays
        self._size: tuple[int, ...] = ()

    def add(self, picture: Picture, milliseconds: int) -> None:
        size = picture.pixels.shape[:2]
        first = not self._size
        if first:
            self._size = size
        if size != self._size:
            raise FormatError(f"a frame of {size[1]} x {size[0]} pixels, unlike others")
        opaque = picture.alpha is None
        whole = replace(picture, alpha=np.full(size, 255, np.uint8)) if opaque else picture
        self._add(whole, opaque, milliseconds, first)

    @abstractmethod
    def _add(self, picture: Picture, opaque: bool, milliseconds: int, first: bool) -> None:
        """Write a frame, and before the first what the file begins with."""

    @abstractmethod
    def end(self) -> None:
        """Write what the file ends with."""


class _Gif(_Animation):
    def _add(self, picture: Picture, opaque: bool, milliseconds: int, first: bool) -> None:
        if first:
            height, width = self._size
            self._file.write(gif.header(width, height, self._plays))
        image = gif.indexed(Image.fromarray(picture.pixels), None if opaque else picture.alpha)
        self._file.write(gif.frame(image, not opaque, milliseconds))

    def end(self) -> None:
        self._file.write(gif.END)


class _Png(_Animation):
    _number = 0  # of the next fcTL or fdAT chunk

    def _add(self, picture: Picture, opaque: bool, milliseconds: int, first: bool) -> None:
        data = picture.encoded("frame.png")
        found = [(name, data[start:end]) for name, start, end in png_chunks.chunks(data)]
        if first:
            self._file.write(png_chunks.SIGNATURE)
            for name, content in found:
                if name not in (b"IDAT", b"IEND"):
                    self._write(name, content)
                if name == b"IHDR":
                    self._write(b"acTL", struct.pack(">II", self._count, self._plays))
        self._write(b"fcTL", self._control(milliseconds))
        for content in [content for name, content in found if name == b"IDAT"]:
            if first:
                self._write(b"IDAT", content)
            else:
                self._write(b"fdAT", self._next() + content)

    def _control(self, milliseconds: int) -> bytes:
        height, width = self._size
        place = struct.pack(">IIII", width, height, 0, 0)
        return self._next() + place + struct.pack(">HHBB", milliseconds, 1000, 0, 0)

    def _next(self) -> bytes:
        self._number += 1
        return struct.pack(">I", self._number - 1)

    def _write(self, name: bytes, content: bytes) -> None:
        self._file.write(png_chunks.chunk(name, content))

    def end(self) -> None:
        self._write(b"IEND", b"")


class _Webp(_Animation):
    def _add(self, picture: Picture, opaque: bool, milliseconds: int, first: bool) -> None:
        found = dict(_riff_chunks(picture.encoded("frame.webp")))
        height, width = self._size
        if first:
            self._behind = [(name, found[name]) for name in (b"EXIF", b"XMP ") if name in found]
            flags = _WEBP_ANIMATION | _WEBP_ALPHA
            flags |= sum(flag for name, flag in _WEBP_FLAGS.items() if name in found)
            self._file.write(b"RIFF\0\0\0\0WEBP")  # of a length that is known in the end
            self._write(b"VP8X", struct.pack("<I", flags) + _less_1(width) + _less_1(height))
            if b"ICCP" in found:
                self._write(b"ICCP", found[b"ICCP"])
            self._write(b"ANIM", struct.pack("<IH", 0, min(self._plays, 65_535)))
        shown = struct.pack("<I", milliseconds)[:3]
        place = bytes(6) + _less_1(width) + _less_1(height) + shown + bytes([_NO_BLENDING])
        inner = [_riff_chunk(n, found[n]) for n in (b"ALPH", b"VP8 ", b"VP8L") if n in found]
        self._write(b"ANMF", place + b"".join(inner))

    def _write(self, name: bytes, content: bytes) -> None:
        self._file.write(_riff_chunk(name, content))

    def end(self) -> None:
        for name, content in self._behind:
            self._write(name, content)
        size = self._file.tell() - 8
        if size > _MOST_RIFF_BYTES:
            raise FormatError("more than 4 GiB, which no WebP has")
        self._file.seek(4)
        self._file.write(struct.pack("<I", size))


def _less_1(side: int) -> bytes:
    return struct.pack("<I", side - 1)[:3]


def _riff_chunk(name: bytes, content: bytes) -> bytes:
    return name + struct.pack("<I", len(content)) + content + bytes(len(content) % 2)


def _riff_chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    """The chunks of a WebP by Pillow."""
    found, at = [], 12
    while at + 8 <= len(data):
        name, size = struct.unpack_from("<4sI", data, at)
        found.append((name, data[at + 8 : at + 8 + size]))
        at += 8 + size + size % 2
    return found


_PAGES = (".tif", ".tiff")
_ANIMATIONS: dict[str, type[_Animation]] = {".gif": _Gif, ".png": _Png, ".webp": _Webp}
