"""Where faces go: one picture of all in a grid, one file a face, or one .npy of floats."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facegen.errors import FacegenError, FormatError
from facegen.media import pictures
from facegen.media.bmp import FACE, grid_side
from facegen.numbers.pixels import to_uint8
from facegen.numbers.text import face_text

# Pillow's limit for the pictures of others: above it, readers refuse or warn.
MAX_PIXELS = 89_478_485
_PICTURES = (".png", ".bmp")
_PLACE = re.compile(r"\{(seed|index)(?::0?(\d{1,2})d?)?\}")

MAX_FILES = 1_000_000  # in one run: more take shards, or a .npy


def encode_faces(
    faces: NDArray[np.float32], threads: int = 1
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """The lines of an OUTPUT file, as bytes, and the pixels (k, 64, 64, 3) of faces."""
    text = face_text(faces, threads=threads)
    return np.frombuffer(text, np.uint8), to_uint8(faces, threads)


# A chunk of a run on a GPU is thousands of faces. The text of a few is written while it is in the
# cache, and its memory serves the next few: 1,000 faces at once took three times as long.
FACES_OF_A_PIECE = 64


def encode_pieces(
    faces: NDArray[np.float32], threads: int = 1
) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.uint8]]]:
    """The same of some faces after others."""
    for first in range(0, len(faces), FACES_OF_A_PIECE):
        yield encode_faces(faces[first : first + FACES_OF_A_PIECE], threads)


def encode_all(
    faces: NDArray[np.float32], threads: int = 1
) -> list[tuple[NDArray[np.uint8], NDArray[np.uint8]]]:
    """All pieces at once."""
    return list(encode_pieces(faces, threads))


def encode_each(name: str, faces: NDArray[np.float32]) -> list[bytes]:
    """Each face as a picture file, in the format of the name's extension."""
    return [pictures.encode(name, face) for face in to_uint8(faces)]


def as_values(faces: NDArray[np.float32]) -> NDArray[np.float32]:
    """The values as a .npy of ours has them: little-endian."""
    return np.ascontiguousarray(faces, "<f4")


@dataclass(frozen=True)
class FaceFiles:
    """What will be written; made by `plan`, which finds all that is wrong with the names."""

    paths: list[str]
    folder: str  # that all of them are in, if deeper
    count: int
    grid: tuple[int, int] | None  # columns, rows, of one picture

    @classmethod
    def plan(
        cls,
        output: str,
        seeds: Sequence[int] | None,
        count: int,
        grid: tuple[int, int] | None = None,
        shape: tuple[int, int, int] = (FACE, FACE, 3),
    ) -> FaceFiles:
        """Decide by `output`: a folder, a name with {seed} or {index}, a .png or .bmp, a .npy.

        Parameters
        ----------
        seeds
            Of the faces, for their names; None where they come from a file of latents.
        count
            How many faces will come.
        grid
            (columns, rows) of one picture; as square as can be if None.
        shape
            (height, width, channels) of a face.

        Raises
        ------
        FacegenError
            The name's extension is none of those, several faces would get one name, the grid is
            too small or too large, or a picture is asked for of what has other channels.
        FileNotFoundError
            The folder of one picture or .npy does not exist.
        """
        if output.endswith(os.sep) or os.path.isdir(output):
            name = "face{index:04d}.png" if seeds is None else "seed{seed:04d}.png"
            output = os.path.join(output, name)
        extension = os.path.splitext(output)[1].lower()
        if extension in _PICTURES:
            pictures.check_channels(shape[2], f"{output} (a .npy takes any)")
        if grid is not None and (_PLACE.search(output) or extension == ".npy"):
            raise FacegenError(f"{output}: a grid is for one picture of all faces")
        if place := _PLACE.search(output):
            if extension not in _PICTURES:
                raise FormatError(f"{output}: expected a name in .png or .bmp")
            if count > MAX_FILES:
                raise FacegenError(
                    f"{output}: {count:,} files, at most {MAX_FILES:,} are written; "
                    "write a .npy, or shards"
                )
            folder = os.path.dirname(output[: place.start()]) or "."
            return cls(_names(output, seeds, count), folder, count, None)
        if extension not in (*_PICTURES, ".npy"):
            raise FormatError(f"{output}: expected a name in .png, .bmp or .npy, or a folder/")
        if "{" in output:
            raise FacegenError(
                f"{output}: expected {{seed}} or {{index}} in a name, or with digits, {{seed:04d}}"
            )
        folder = os.path.dirname(output) or "."
        if not os.path.isdir(folder):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), folder)
        if extension == ".npy":
            return cls([output], folder, count, None)
        return cls([output], folder, count, _checked_grid(output, count, grid, shape[:2]))

    @property
    def one_a_face(self) -> bool:
        return self.grid is None and not self.values

    @property
    def values(self) -> bool:
        """One .npy of floats."""
        return self.paths[0].lower().endswith(".npy")


def _names(pattern: str, seeds: Sequence[int] | None, count: int) -> list[str]:
    """The pattern filled in for every face."""

    def fill(index: int) -> str:
        def number(match: re.Match[str]) -> str:
            if match[1] == "seed" and seeds is None:
                raise FacegenError(f"{pattern}: latents of a file have no seeds, use {{index}}")
            value = seeds[index] if match[1] == "seed" and seeds is not None else index
            return f"{value:0{int(match[2] or 0)}d}"

        return _PLACE.sub(number, pattern)

    names = [fill(index) for index in range(count)]
    if len(set(names)) != len(names):
        raise FacegenError(f"{pattern}: gives several faces one name")
    return names


def _checked_grid(
    output: str, count: int, grid: tuple[int, int] | None, size: tuple[int, int]
) -> tuple[int, int]:
    columns = grid_side(count)
    columns, rows = grid or (columns, -(-count // columns))
    if columns * rows < count:
        raise FacegenError(
            f"{output}: a grid of {columns} x {rows} has no room for {count:,} faces"
        )
    if columns * rows * size[0] * size[1] > MAX_PIXELS:
        raise FacegenError(
            f"{output}: a grid of {columns} x {rows} faces is larger than pictures may be "
            f"({MAX_PIXELS:,} pixels); write to a folder or a .npy"
        )
    return columns, rows
