"""Pictures to train on: read from a folder or a .npy, kept in memory as bytes.

200,000 pictures of 64x64 are 2.5 GB.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facegen.errors import FormatError
from facegen.networks.dcgan import SIDES
from facegen.numbers.npy import NpyFile
from facegen.train.folders import files_below, read_each
from facegen.train.readers import read_rgb

SIDE = 64  # of pictures of a folder, unless another is asked for


@dataclass(frozen=True)
class Pictures:
    """A set of pictures and what could not be read of it."""

    pixels: NDArray[np.uint8]  # (n, side, side, 3), RGB
    skipped: list[str]  # files, and why they are

    def __len__(self) -> int:
        return len(self.pixels)


def read_pictures(source: str | os.PathLike[str], side: int | None = None) -> Pictures:
    """Read a folder of pictures (with its sub-folders) or a .npy of uint8 (n, side, side, 3).

    The side is one of `dcgan.SIDES`: 64 of a folder, and what it has of a .npy, unless it is asked
    for.

    Pictures of a folder are read as all pictures are (`facegen.photos.photo`), put on white where
    they are transparent, cut to the square in their middle and resized. A file that cannot
    be read is skipped and listed; hidden files and folders of runs are passed over. The order is
    that of the sorted paths.

    Raises
    ------
    FormatError
        The .npy holds something else, or not one picture could be read.
    OSError
        The folder or the file cannot be opened.
    """
    source = Path(source)
    if source.is_dir():
        return _read_folder(source, side or SIDE)
    return Pictures(_read_npy(source, side), [])


def side_of(source: str | os.PathLike[str], side: int | None = None) -> int:
    """That of the pictures which `read_pictures` gives, which it raises errors as."""
    source = Path(source)
    if source.is_dir():
        return side or SIDE
    with _open_npy(source, side) as array:
        return array.shape[1]


@contextmanager
def _open_npy(path: Path, side: int | None) -> Iterator[NpyFile]:
    shapes = [(each, each, 3) for each in ([side] if side else SIDES)]
    with NpyFile(path, "expected a folder or a .npy of pictures") as array:
        if array.dtype != np.uint8 or array.shape[1:] not in shapes:
            expected = " or ".join(f"(n, {each}, {each}, 3)" for each, *_ in shapes)
            raise FormatError(
                f"{path}: expected uint8 of shape {expected}, "
                f"found {array.dtype} of shape {array.shape}"
            )
        if array.shape[0] == 0:
            raise FormatError(f"{path}: holds no pictures")
        yield array


def _read_npy(path: Path, side: int | None) -> NDArray[np.uint8]:
    with _open_npy(path, side) as array:
        return np.ascontiguousarray(array.rows(0, array.shape[0]))


def _read_folder(folder: Path, side: int) -> Pictures:
    paths = sorted(files_below(folder))
    pixels = np.empty((len(paths), side, side, 3), np.uint8)
    count, skipped = 0, []
    for result in read_each(partial(read_picture, side=side), paths):
        if isinstance(result, str):
            skipped.append(result)
        else:
            pixels[count] = result
            count += 1
    if count == 0:
        found = f"{len(skipped)} files that are none" if skipped else "no files"
        raise FormatError(f"{folder}: expected pictures, found {found}")
    return Pictures(pixels[:count], skipped)


def read_picture(path: str | Path, side: int = SIDE) -> NDArray[np.uint8]:
    """One picture, its middle square resized: (side, side, 3) uint8; FormatError if it is none."""
    from PIL import Image, ImageOps

    upright = Image.fromarray(read_rgb(path, least_side=2 * side))
    square = ImageOps.fit(upright, (side, side), Image.Resampling.LANCZOS)
    return np.asarray(square)


def to_values(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(n, h, w, 3) uint8 -> float32 in -1 to 1.

    The inverse of ``(int)((x + 1) / 2 * 255)``, which cuts: a byte becomes the middle of the values
    that give it, so that pictures are neither darkened nor brightened.
    """
    return _VALUES.take(pixels)


_VALUES = np.minimum((2 * np.arange(256, dtype=np.float32) + 1) / 255 - 1, np.float32(1))
