"""Pictures to train on: read from a folder or a .npy, kept in memory as bytes.

200,000 pictures of 64x64 are 2.5 GB.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facegen.errors import FormatError
from facegen.numbers.npy import NpyFile
from facegen.train.folders import files_below, read_each
from facegen.train.readers import read_rgb

SIDE = 64


@dataclass(frozen=True)
class Pictures:
    """A set of pictures and what could not be read of it."""

    pixels: NDArray[np.uint8]  # (n, 64, 64, 3), RGB
    skipped: list[str]  # files, and why they are

    def __len__(self) -> int:
        return len(self.pixels)


def read_pictures(source: str | os.PathLike[str]) -> Pictures:
    """Read a folder of pictures (with its sub-folders) or a .npy of uint8 (n, 64, 64, 3).

    Pictures of a folder are read as all pictures are (`facegen.photos.photo`), put on white where
    they are transparent, cut to the square in their middle and resized to 64x64. A file that cannot
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
        return _read_folder(source)
    return Pictures(_read_npy(source), [])


def _read_npy(path: Path) -> NDArray[np.uint8]:
    with NpyFile(path, "expected a folder or a .npy of pictures") as array:
        if array.dtype != np.uint8 or array.shape[1:] != (SIDE, SIDE, 3):
            raise FormatError(
                f"{path}: expected uint8 of shape (n, {SIDE}, {SIDE}, 3), "
                f"found {array.dtype} of shape {array.shape}"
            )
        if array.shape[0] == 0:
            raise FormatError(f"{path}: holds no pictures")
        return np.ascontiguousarray(array.rows(0, array.shape[0]))


def _read_folder(folder: Path) -> Pictures:
    paths = sorted(files_below(folder))
    pixels = np.empty((len(paths), SIDE, SIDE, 3), np.uint8)
    count, skipped = 0, []
    for result in read_each(read_picture, paths):
        if isinstance(result, str):
            skipped.append(result)
        else:
            pixels[count] = result
            count += 1
    if count == 0:
        found = f"{len(skipped)} files that are none" if skipped else "no files"
        raise FormatError(f"{folder}: expected pictures, found {found}")
    return Pictures(pixels[:count], skipped)


def read_picture(path: str | Path) -> NDArray[np.uint8]:
    """One picture, its middle square resized: (64, 64, 3) uint8 RGB; FormatError if it is none."""
    from PIL import Image, ImageOps

    upright = Image.fromarray(read_rgb(path, least_side=2 * SIDE))
    square = ImageOps.fit(upright, (SIDE, SIDE), Image.Resampling.LANCZOS)
    return np.asarray(square)


def to_values(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(n, h, w, 3) uint8 -> float32 in -1 to 1.

    The inverse of ``(int)((x + 1) / 2 * 255)``, which cuts: a byte becomes the middle of the values
    that give it, so that pictures are neither darkened nor brightened.
    """
    return _VALUES[pixels]


_VALUES = np.minimum((2 * np.arange(256, dtype=np.float32) + 1) / 255 - 1, np.float32(1))
